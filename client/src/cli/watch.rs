//! `watch`: the edges that callers can reach now, and every change from then on.
//!
//! It goes on for ever: a server that goes away is said to, and is asked again until it is back. What is printed then
//! is a new snapshot; edges that are not in it are gone.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::SystemTime;

use grpc_multiplexer_proto::v1::WatchGrpcServerResponse;
use grpc_multiplexer_proto::v1::watch_grpc_server_response::Event;
use grpc_multiplexer_tunnel::Backoff;
use humantime::format_rfc3339_seconds;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tonic::Streaming;

use super::channel::reach;
use super::output::{End, Output, aside, harmless};
use super::place::Place;
use super::status::{Trouble, in_words};
use super::{discovery, listed};

/// Prints one line, or one object, per event. A server that is not there at first is a failure.
pub(super) async fn watch(proxy: &Arc<Place>, output: &Output) -> Result<Infallible, End> {
    let mut changes = subscribe(proxy).await?;
    let mut backoff = Backoff::new();
    loop {
        let why = follow(proxy, changes, output, &mut backoff).await?;
        say(output, "server-lost", &why, json!({ "reason": why }))?;
        changes = loop {
            sleep(backoff.next_delay(Instant::now(), &mut rand::rng())).await;
            if let Ok(changes) = subscribe(proxy).await {
                break changes;
            }
        };
        say(output, "server-back", &proxy.to_string(), json!({}))?;
    }
}

async fn subscribe(proxy: &Arc<Place>) -> Result<Streaming<WatchGrpcServerResponse>, Trouble> {
    reach(proxy).await?;
    discovery::watch(proxy).await
}

/// Prints what comes, and says why nothing more does.
async fn follow(
    proxy: &Arc<Place>,
    mut changes: Streaming<WatchGrpcServerResponse>,
    output: &Output,
    backoff: &mut Backoff,
) -> Result<String, End> {
    let mut snapshot = Some(0);
    loop {
        let change = match changes.message().await {
            Ok(Some(change)) => change,
            Ok(None) => return Ok("it ended the watch".to_owned()),
            Err(status) => return Ok(in_words(&status)),
        };
        backoff.reset();
        let word = match (change.event(), &mut snapshot) {
            // A server that knows no snapshots gives no revisions either.
            (Event::Connected, Some(edges)) if !change.revision.is_empty() => {
                *edges += 1;
                "present"
            }
            (Event::Connected, _) => "connected",
            (Event::Disconnected, _) => "disconnected",
            (Event::Updated, _) => "updated",
            (Event::Resync, _) => {
                snapshot = Some(0);
                "resync"
            }
            (Event::SnapshotEnd, _) => {
                if snapshot.take() == Some(0) {
                    aside(listed::nothing(proxy));
                }
                output.object(|| object("snapshot-end", json!({ "revision": change.revision })))?;
                continue;
            }
            // Of a newer server.
            (Event::Unspecified, _) => continue,
        };
        print(output, word, &change)?;
    }
}

fn print(output: &Output, word: &str, change: &WatchGrpcServerResponse) -> Result<(), End> {
    let details = match &change.edge {
        Some(edge) => listed::phrase(edge),
        None => harmless(&change.reason),
    };
    let text = format!("{}  {details}", harmless(&change.server));
    let particulars = json!({
        "client_id": change.server,
        "revision": change.revision,
        "edge": change.edge.as_ref().map(listed::object),
        "reason": Some(&change.reason).filter(|reason| !reason.is_empty()),
    });
    say(output, word, &text, particulars)
}

fn say(output: &Output, word: &str, text: &str, particulars: Value) -> Result<(), End> {
    let now = format_rfc3339_seconds(SystemTime::now());
    output.tell(format!("{now}  {word:<12}  {text}").trim_end())?;
    output.object(|| object(word, particulars))
}

fn object(word: &str, particulars: Value) -> Value {
    let mut object = json!({
        "time": format_rfc3339_seconds(SystemTime::now()).to_string(),
        "event": word,
    });
    if let (Some(object), Value::Object(particulars)) = (object.as_object_mut(), particulars) {
        object.extend(particulars);
    }
    object
}
