//! Who may call what: callers that a policy knows, and everybody else.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

mod discovery;
mod log;
mod mistakes;
mod policy;
mod reload;
mod revocation;

use grpc_multiplexer_tests::{Answer, Backend, Caller, Edge, Folder, Mux};

/// A token, and its SHA-256 as `sha256sum` has it.
const BILLING: [&str; 2] = [
    "first-token-of-rainbow-0123456789abcdef",
    "4d1145def5d743a39576d432973127d793cbc906e34d14f73434f03f922f4b71",
];
const SUPPORT: [&str; 2] = [
    "second-token-of-rainbow-0123456789abcdef",
    "1407d6f141a376501ae0429b82977278b531d18108dbabf93d19152514d0222c",
];

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
    // What nobody reads counts against a connection for good.
    let backend = Backend::h2(async |mut call| {
        call.read_all().await;
        call.ok(b"pong").await;
    })
    .await;
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
