//! Callers that the policy knows by their tokens, for as long as those last.

use grpc_multiplexer_tests::signer::{Signer, jwks, says};
use grpc_multiplexer_tests::{Backend, Caller, Change, Edge, Ended, Folder, until};
use h2::Reason;
use serde_json::json;

use crate::{METHOD, call, for_callers, pong};

#[tokio::test]
async fn a_caller_is_known_by_whom_its_jwt_is_about_or_by_what_it_claims() {
    let (folder, signer) = (Folder::new("jwt-who"), Signer::new("a"));
    let keys = folder.put("keys.json", jwks(&[&signer]));
    let mux = for_callers(&folder, &keys, &["--callers-token-metadata=authorization"]).await;
    let (backend, address) = pong().await;
    let _edge = Edge::start(&mux, "rainbow", address.parse().unwrap()).await;
    let caller = Caller::connect(mux.proxy).await;
    let mut support = says("somebody", 3600);
    support["realm"] = json!({"roles": ["x", "support"]});
    for (token, name) in [
        (signer.token("svc-billing"), "billing"),
        (signer.signs(&support), "support"),
    ] {
        // The second time it is known.
        for _ in 0..2 {
            let before = backend.seen().len();
            let token = format!("Bearer {token}");
            let metadata = [("client-id", "rainbow"), ("authorization", &*token)];
            let answer = caller.call(METHOD, &metadata, b"x").await;
            assert_eq!(answer.body, b"pong", "{answer:?}");
            let seen = &backend.seen()[before].headers;
            assert_eq!(seen["x-mux-caller"], name);
            assert!(!seen.contains_key("authorization"));
        }
    }
}

/// As when the policy takes back what it gave.
#[tokio::test]
async fn a_call_ends_with_its_jwt() {
    let (folder, signer) = (Folder::new("jwt-cut"), Signer::new("a"));
    let keys = folder.put("keys.json", jwks(&[&signer]));
    let mux = for_callers(&folder, &keys, &[]).await;
    let backend = Backend::half().await;
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let caller = Caller::connect(mux.proxy).await;
    let start = async |token: &str| {
        let token = format!("Bearer {token}");
        let metadata = [("client-id", "rainbow"), ("proxy-authorization", &*token)];
        let mut call = caller.start(METHOD, &metadata).await;
        call.bytes(4).await;
        call
    };
    // Thirty seconds are leeway.
    let short = signer.signs(&says("svc-billing", -26));
    let cut = start(&short).await;
    let mut other = start(&signer.token("svc-billing")).await;
    let answer = cut.answer().await;
    answer.is_ours(7, "mux: not allowed any more", "revoked", "maybe");
    assert_eq!(answer.body, b"some");
    assert_eq!(backend.call_ended(0).await, Ended::Reset(Reason::CANCEL));
    // It was good, and is not kept as such.
    let again = call(&caller, &short).await;
    assert_eq!(again.mux_error(), Some("unauthenticated"));
    other.data(b"", true).await;
    assert_eq!(other.answer().await.code(), Some(0));
}

#[tokio::test]
async fn a_key_that_is_taken_out_cuts_calls_and_a_new_one_is_taken() {
    let folder = Folder::new("jwt-rotated");
    let (first, second) = (Signer::new("a"), Signer::new("b"));
    let keys = folder.put("keys.json", jwks(&[&first]));
    let mux = for_callers(&folder, &keys, &[]).await;
    let (_backend, address) = pong().await;
    let _edge = Edge::start(&mux, "rainbow", address.parse().unwrap()).await;
    let caller = Caller::connect(mux.proxy).await;
    let [old, new] = [&first, &second].map(|signer| signer.token("svc-billing"));
    assert_eq!(call(&caller, &old).await.body, b"pong");
    let bearer = format!("Bearer {old}");
    let metadata = [("client-id", "rainbow"), ("proxy-authorization", &*bearer)];
    let under_way = caller.start(METHOD, &metadata).await;
    mux.says_times("verdict=\"allowed\"", 2).await;
    folder.put("keys.json", jwks(&[&second]));
    let change = Change::saved();
    until("the new key", async || {
        (call(&caller, &new).await.body == b"pong").then_some(())
    })
    .await;
    assert_eq!(
        call(&caller, &old).await.mux_error(),
        Some("unauthenticated")
    );
    let answer = change.brings("the end of a call", under_way.answer());
    assert_eq!(answer.await.mux_error(), Some("revoked"));
}
