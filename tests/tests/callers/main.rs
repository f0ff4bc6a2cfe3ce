//! Who may call what: callers that a policy knows, and everybody else.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

mod discovery;
mod labels;
mod log;
mod mistakes;
mod policy;
mod reload;
mod revocation;

use grpc_multiplexer_tests::{Answer, Backend, Caller, Edge, Folder, Mux, TOKENS, Token};

const BILLING: Token = TOKENS[0];
const SUPPORT: Token = TOKENS[1];

const METHOD: &str = "/shop.Invoices/List";

/// A policy: billing calls one service at `rainbow` and sees `garden`, support sees everything and calls nothing.
fn policy() -> String {
    let ([_, billing], [_, support]) = (BILLING, SUPPORT);
    format!(
        "
callers:
  billing:
    tokens: [{billing}]
    calls:
      - ids: [rainbow]
        methods: [/shop.Invoices/*]
    sees: [garden]
  support:
    tokens: [{support}]
    sees: ['*']
"
    )
}

/// A server with a policy, and the folder that has it.
async fn server(text: &str, options: &[&str]) -> (Mux, Folder) {
    let folder = Folder::new("policy");
    let file = folder.put_secret("policy.yaml", text);
    let mux = Mux::with(&[&["--callers-policy", &file], options].concat()).await;
    (mux, folder)
}

/// An edge whose backend answers `pong`.
async fn edge(mux: &Mux, id: &str) -> (Backend, Edge) {
    let backend = Backend::pong().await;
    let edge = Edge::start(mux, id, backend.address).await;
    (backend, edge)
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// What becomes of a call with a token.
async fn call(caller: &Caller, token: &str, id: &str, method: &str) -> Answer {
    let metadata = [
        ("client-id", id),
        ("proxy-authorization", &bearer(token)),
        ("authorization", "Bearer for-the-backend"),
    ];
    caller.call(method, &metadata, b"x").await
}
