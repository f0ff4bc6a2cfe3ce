//! `check`: calls to one edge, step by step, and what is wrong.
//!
//! The first steps are the way to the backend, in the order in which a call goes; where one fails, the later ones are
//! skipped. The others each look at one thing that the backend may or may not serve.

mod backend;
mod interop;
mod report;

use std::sync::Arc;

use grpc_multiplexer_tunnel::ClientId;

use super::channel::{Calls, calls, dial, greet};
use super::output::{End, Output, harmless};
use super::place::Place;
use super::status::Trouble;
use super::{discovery, listed};
use report::{Found, Report};

/// Calls to the edge.
type ToEdge = Calls;

/// Makes the calls and prints what came of each. Returns whether nothing is wrong.
pub(super) async fn check(proxy: &Arc<Place>, id: &ClientId, output: &Output) -> Result<bool, End> {
    output.tell(&format!("edge '{id}' through {proxy}\n"))?;
    let edge = calls(proxy, Some(id));
    let mut report = Report::new(output);

    report.needed("connect", tcp(proxy)).await?;
    report.needed("http2", http2(proxy)).await?;
    report.needed("discovery", registered(proxy, id)).await?;
    report.needed("backend", backend::reached(&edge)).await?;

    report.step("health", backend::health(&edge)).await?;
    report
        .step("reflection", backend::reflection(&edge))
        .await?;
    report.step("latency", backend::latency(&edge)).await?;
    interop::all(&mut report, &edge).await?;
    report.end()
}

async fn tcp(proxy: &Place) -> Result<Found, Trouble> {
    let socket = dial(proxy).await?;
    Ok(match socket.peer_addr() {
        Ok(address) => Found::ok(format!("{address} takes connections")),
        Err(_) => Found::ok("it takes connections"),
    })
}

async fn http2(proxy: &Place) -> Result<Found, Trouble> {
    greet(proxy).await?;
    Ok(match proxy.tls {
        Some(_) => Found::ok("HTTP/2 is spoken there, within TLS"),
        None => Found::ok("HTTP/2 is spoken there"),
    })
}

/// Whether the server knows the edge.
async fn registered(proxy: &Arc<Place>, id: &ClientId) -> Result<Found, Trouble> {
    // Without that nothing is known of any edge, whoever does not allow it.
    let edges = discovery::list(proxy).await.map_err(|trouble| Trouble {
        is_not_allowed: false,
        ..trouble
    })?;
    let id = id.as_str();
    if let Some(edge) = edges.iter().find(|edge| edge.client_id == id) {
        let phrase = listed::phrase(edge);
        return Ok(Found::ok(
            format!("the edge is connected {phrase}").trim_end(),
        ));
    }
    let others = match edges.len() {
        1 => "1 other edge is".to_owned(),
        others => format!("{others} others are"),
    };
    let alike = edges
        .iter()
        .find(|edge| edge.client_id.eq_ignore_ascii_case(id));
    let advice = match alike {
        Some(edge) => format!("did you mean '{}'?", harmless(&edge.client_id)),
        None => format!(
            "start `grpc-multiplexer-client --client-id {id}` beside its gRPC server; if it runs, either its log says why it \
             has no tunnel, or the server's --callers-policy or hook does not let this caller see it"
        ),
    };
    let what = format!("no edge '{id}' is connected that this caller may see ({others})");
    Err(Trouble::new(what, advice))
}
