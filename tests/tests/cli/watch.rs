//! `watch`.

use grpc_multiplexer_tests::{Edge, Mux, within};
use serde_json::Value;

use crate::list::Foreign;
use crate::run::{Running, documented, keys, run};

fn watch(mux: &Mux, json: bool) -> Running {
    let proxy = mux.proxy.to_string();
    let mut args = vec!["watch", "--proxy-address", &proxy];
    args.extend(json.then_some("--json"));
    Running::start(&args)
}

async fn edge(mux: &Mux, name: &str) -> Edge {
    Edge::start(mux, name, "127.0.0.1:1".parse().unwrap()).await
}

/// The next event, of which nothing but this is expected.
async fn event(running: &mut Running, event: &str, id: Option<&str>) -> Value {
    let object = running.object().await;
    assert_eq!(object["event"], event, "{object}");
    assert_eq!(object["client_id"].as_str(), id, "{object}");
    object
}

#[tokio::test]
async fn what_is_there_comes_first_and_then_every_change() {
    let mux = Mux::start().await;
    let _ant = edge(&mux, "ant").await;
    let mut watch = watch(&mux, true);
    let present = event(&mut watch, "present", Some("ant")).await;
    assert_eq!(
        keys(&present),
        ["client_id", "edge", "event", "reason", "revision", "time"]
    );
    assert_eq!(present["edge"]["client_id"], "ant");
    documented("watch", &present).await;
    event(&mut watch, "snapshot-end", None).await;
    let mut bee = edge(&mux, "bee").await;
    event(&mut watch, "connected", Some("bee")).await;
    bee.kill().await;
    let gone = event(&mut watch, "disconnected", Some("bee")).await;
    assert!(gone["edge"].is_null() && gone["reason"].is_null(), "{gone}");
}

#[tokio::test]
async fn people_get_a_line_per_event() {
    let mux = Mux::start().await;
    let _ant = edge(&mux, "ant").await;
    let mut watch = watch(&mux, false);
    let line = watch.line().await;
    let words: Vec<_> = line.split_whitespace().collect();
    assert!(words[0].ends_with('Z'), "{line}");
    assert_eq!(words[1..4], ["present", "ant", "from"], "{line}");
    let _bee = edge(&mux, "bee").await;
    let line = watch.line().await;
    assert!(
        line.contains("  connected     bee  from 127.0.0.1:"),
        "{line}"
    );
}

#[tokio::test]
async fn a_server_that_goes_away_is_said_to_and_watched_again_when_it_is_back() {
    let mut mux = Mux::lasting(&[]).await;
    let _edge = edge(&mux, "ant").await;
    let mut watch = watch(&mux, true);
    event(&mut watch, "present", Some("ant")).await;
    event(&mut watch, "snapshot-end", None).await;
    mux.kill().await;
    let lost = event(&mut watch, "server-lost", None).await;
    assert!(!lost["reason"].as_str().unwrap().is_empty(), "{lost}");

    let _mux = mux.again(&[]).await;
    event(&mut watch, "server-back", None).await;
    // The edge is in the snapshot, or comes right after it.
    let mut seen = Vec::new();
    while seen.len() < 2 {
        seen.push(watch.object().await["event"].as_str().unwrap().to_owned());
    }
    assert!(
        seen == ["present", "snapshot-end"] || seen == ["snapshot-end", "connected"],
        "{seen:?}"
    );
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_it_quietly() {
    let mux = Mux::start().await;
    let _ant = edge(&mux, "ant").await;
    let mut watch = watch(&mux, true);
    event(&mut watch, "present", Some("ant")).await;
    event(&mut watch, "snapshot-end", None).await;
    let mut unread = watch.unread();
    let _bee = edge(&mux, "bee").await;
    let ended = within("the end of a process nobody reads", unread.wait()).await;
    assert_eq!(ended.unwrap().code(), Some(0));
}

#[tokio::test]
async fn changes_of_a_server_without_snapshots_are_told_as_changes() {
    let foreign = Foreign::Plain.serve().await;
    let proxy = foreign.address.to_string();
    let mut watch = Running::start(&["watch", "--json", "--proxy-address", &proxy]);
    event(&mut watch, "connected", Some("ant")).await;
}

#[tokio::test]
async fn a_server_that_was_never_there_is_a_failure() {
    let said = run(&["watch", "--proxy-address", "127.0.0.1:1"]).await;
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
    assert!(
        said.err.contains("nothing listens on 127.0.0.1:1"),
        "{said:?}"
    );
}
