//! A hook: a service of the user's that decides which edges may come, and hears of those that came and left.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

mod allow;
mod callers;
mod edges;
mod events;
mod failures;
mod hook;
mod json;
mod kept;
mod killed;
mod late;
mod mistakes;
mod shown;
mod slow;
mod tls;
mod waiting;

use std::net::SocketAddr;

use grpc_multiplexer_proto::hooks::v1::AuthorizeResponse;
use grpc_multiplexer_proto::v1::{Edge as Listed, ListGrpcServerRequest};
use grpc_multiplexer_tests::{Edge, Mux, TOKENS, pong};

/// What somebody shows, and its SHA-256.
const TOKEN: &str = TOKENS[0][0];
const SHA256: &str = TOKENS[0][1];

/// The backend of an edge that nobody calls.
const NOBODY: &str = "127.0.0.1:1";

fn yes() -> AuthorizeResponse {
    AuthorizeResponse {
        allow: true,
        ..AuthorizeResponse::default()
    }
}

/// A yes, with what is to be known.
fn knowing(context: &[(&str, &str)]) -> AuthorizeResponse {
    let entries = context.iter();
    AuthorizeResponse {
        context: entries
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        ..yes()
    }
}

fn no(reason: &str) -> AuthorizeResponse {
    AuthorizeResponse {
        reason: reason.to_owned(),
        ..AuthorizeResponse::default()
    }
}

/// A server whose hook is there, over gRPC.
async fn server(hook: SocketAddr, further: &[&str]) -> Mux {
    let hook = format!("--hooks-address=http://{hook}");
    Mux::with(&[&[&*hook], further].concat()).await
}

fn edge(mux: &Mux, id: &str, args: &[&str]) -> Edge {
    Edge::dialling(mux.multiplexer, id, NOBODY, args)
}

/// What discovery shows of all edges.
async fn listed(mux: &Mux) -> Vec<Listed> {
    let request = ListGrpcServerRequest {
        details: true,
        ..ListGrpcServerRequest::default()
    };
    let listed = mux.discovery().await.list_grpc_server(request).await;
    listed.unwrap().into_inner().edges
}
