//! Edges and callers that show JSON Web Tokens, and where the keys come from that these are checked with.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

mod abuse;
mod callers;
mod edges;
mod mistakes;
mod publisher;
mod urls;

use grpc_multiplexer_tests::signer::{AUDIENCE, ISSUER, Signer, jwks};
use grpc_multiplexer_tests::{Answer, Caller, Folder, Mux, pong};

const METHOD: &str = "/shop.Invoices/List";

/// The options of an issuer whose keys are in a file or at a URL.
fn issuer(whose: &str, keys: &str) -> Vec<String> {
    vec![
        format!("--{whose}-jwt-issuer={ISSUER}"),
        format!("--{whose}-jwt-audience={AUDIENCE}"),
        format!("--{whose}-jwt-keys={keys}"),
    ]
}

/// The same with the keys of `signers` in a file.
fn issuer_of(whose: &str, folder: &Folder, signers: &[&Signer]) -> Vec<String> {
    issuer(whose, &folder.put("keys.json", jwks(signers)))
}

/// A server with options that were made up.
async fn server(options: &[String]) -> Mux {
    Mux::with(&borrowed(options)).await
}

fn borrowed(options: &[String]) -> Vec<&str> {
    options.iter().map(String::as_str).collect()
}

/// A server that takes callers by the tokens of whoever has the keys: `billing` by its subject, `support` by its groups.
async fn for_callers(folder: &Folder, keys: &str, further: &[&str]) -> Mux {
    let policy = "
callers:
  billing:
    jwt-subjects: [svc-billing]
    calls: [{ids: [rainbow], methods: [/shop.Invoices/*]}]
  support:
    jwt-claims: [/realm/roles=support]
    calls: [{ids: [rainbow], methods: [/shop.Invoices/*]}]
";
    let policy = folder.put_secret("policy.yaml", policy);
    let mut options = issuer("callers", keys);
    options.push(format!("--callers-policy={policy}"));
    options.extend(further.iter().map(ToString::to_string));
    server(&options).await
}

/// What becomes of a call to `rainbow` with a token.
async fn call(caller: &Caller, token: &str) -> Answer {
    let token = format!("Bearer {token}");
    let metadata = [("client-id", "rainbow"), ("proxy-authorization", &*token)];
    caller.call(METHOD, &metadata, b"x").await
}
