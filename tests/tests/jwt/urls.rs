//! Keys that are fetched.

use std::sync::Arc;

use grpc_multiplexer_tests::signer::{Signer, jwks};
use grpc_multiplexer_tests::{Authority, Backend, Caller, Edge, Folder, Mux, free, metric, until};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::publisher::{Publisher, Says};
use crate::{call, for_callers, pong};

const FAILED: &str = r#"jwt_key_fetches_total{of="callers",result="failed"}"#;
const FETCHED: &str = r#"jwt_key_fetches_total{of="callers",result="ok"}"#;
const NOT_FETCHED: &str = "keys of JWTs not fetched";

async fn is_taken(caller: &Caller, token: &str) {
    until("the token is taken", async || {
        (call(caller, token).await.body == b"pong").then_some(())
    })
    .await;
}

/// A server, and an edge of it.
async fn server(folder: &Folder, url: &str, further: &[&str]) -> (Mux, (Backend, Edge)) {
    let mux = for_callers(folder, url, further).await;
    let (backend, address) = pong().await;
    let edge = Edge::start(&mux, "rainbow", address.parse().unwrap()).await;
    (mux, (backend, edge))
}

/// Whatever the URL answers first, the server starts, says what is wrong, and goes on as soon as it can.
async fn comes_to_its_senses(first: Says, said: &str) {
    let (folder, signer) = (Folder::new("jwt-url"), Signer::new("a"));
    let publisher = Publisher::start(first).await;
    let (mux, _edge) = server(&folder, &publisher.url(), &[]).await;
    let line = mux.says(said).await;
    assert!(
        line.contains(NOT_FETCHED) && !line.contains("of=test"),
        "{line}"
    );
    let (caller, token) = (
        Caller::connect(mux.proxy).await,
        signer.token("svc-billing"),
    );
    let answer = call(&caller, &token).await;
    assert_eq!(answer.mux_error(), Some("unauthenticated"));
    mux.says("the issuer's keys could not be fetched so far")
        .await;
    assert!(metric(mux.admin, FAILED).await >= 1.0);
    publisher.says(Says::keys(&jwks(&[&signer])));
    is_taken(&caller, &token).await;
    assert!(metric(mux.admin, FETCHED).await >= 1.0);
}

#[tokio::test]
async fn a_url_that_answers_nothing_is_given_up_in_time() {
    comes_to_its_senses(Says::Nothing, "no answer within 5s").await;
}

#[tokio::test]
async fn a_url_that_answers_garbage_is_asked_again() {
    comes_to_its_senses(Says::keys("<html>"), "this is no JWKS").await;
}

#[tokio::test]
async fn a_url_that_speaks_no_http_is_asked_again() {
    let garbage = Says::Bytes(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec());
    comes_to_its_senses(garbage, NOT_FETCHED).await;
}

#[tokio::test]
async fn no_more_is_read_than_keys_can_be() {
    let huge = Says::keys(&" ".repeat(64 * 1024 * 1024));
    comes_to_its_senses(huge, "larger than 256 KiB").await;
}

#[tokio::test]
async fn an_answer_that_is_none_is_told() {
    comes_to_its_senses(
        Says::answer("404 Not Found", "{}"),
        "it answers 404 Not Found",
    )
    .await;
    let moved = Says::answer("302 Found\r\nlocation: /x", "");
    comes_to_its_senses(moved, "redirections are not followed").await;
}

/// Nobody is there at first.
#[tokio::test]
async fn a_url_that_cannot_be_reached_is_tried_until_it_can() {
    let (folder, signer) = (Folder::new("jwt-away"), Signer::new("a"));
    let [address] = free();
    let url = format!("http://{address}/jwks.json?of=test");
    let (mux, _edge) = server(&folder, &url, &[]).await;
    mux.says("it cannot be reached").await;
    let keys = Says::keys(&jwks(&[&signer]));
    let _publisher = Publisher::on(&address.to_string(), None, keys).await;
    let caller = Caller::connect(mux.proxy).await;
    is_taken(&caller, &signer.token("svc-billing")).await;
}

/// An issuer's set has keys for others, too.
#[tokio::test]
async fn a_key_that_cannot_be_used_takes_no_other_along() {
    let (folder, signer) = (Folder::new("jwt-odd"), Signer::new("a"));
    let odd = r#"{"keys": [{"kty": "RSA", "kid": "old", "e": "AQAB"}, "#;
    let keys = jwks(&[&signer]);
    let keys = keys.replacen(r#"{"keys":["#, odd, 1);
    assert!(keys.starts_with(odd), "{keys}");
    let publisher = Publisher::start(Says::keys(&keys)).await;
    let (mux, _edge) = server(&folder, &publisher.url(), &[]).await;
    let line = mux.says("a key of JWTs was left out").await;
    assert!(line.contains("the key number 1 has no usable n"), "{line}");
    let caller = Caller::connect(mux.proxy).await;
    is_taken(&caller, &signer.token("svc-billing")).await;
}

/// A new key is fetched when a token comes that it signed; and while it cannot be, the old ones are good.
#[tokio::test]
async fn a_key_that_is_not_known_is_fetched_and_the_last_good_ones_stay() {
    let folder = Folder::new("jwt-unknown");
    let (first, second) = (Signer::new("a"), Signer::new("b"));
    let publisher = Publisher::start(Says::keys(&jwks(&[&first]))).await;
    let (mux, _edge) = server(&folder, &publisher.url(), &[]).await;
    let caller = Caller::connect(mux.proxy).await;
    let [old, new] = [&first, &second].map(|signer| signer.token("svc-billing"));
    is_taken(&caller, &old).await;
    publisher.says(Says::keys("oops"));
    until("another attempt", async || {
        let answer = call(&caller, &new).await;
        assert_eq!(answer.mux_error(), Some("unauthenticated"));
        (metric(mux.admin, FAILED).await >= 1.0).then_some(())
    })
    .await;
    assert_eq!(call(&caller, &old).await.body, b"pong");
    publisher.says(Says::keys(&jwks(&[&first, &second])));
    is_taken(&caller, &new).await;
    assert_eq!(call(&caller, &old).await.body, b"pong");
}

/// One request in 10 s, however many tokens come.
#[tokio::test]
async fn tokens_of_made_up_keys_cause_few_requests() {
    let (folder, signer) = (Folder::new("jwt-made-up"), Signer::new("a"));
    let publisher = Publisher::start(Says::keys(&jwks(&[&signer]))).await;
    let (mux, _edge) = server(&folder, &publisher.url(), &["--log-level", "info"]).await;
    let caller = Caller::connect(mux.proxy).await;
    let begun = Instant::now();
    is_taken(&caller, &signer.token("svc-billing")).await;
    let made_up = Signer::new("made-up").token("svc-billing");
    for _ in 0..200 {
        let answer = call(&caller, &made_up).await;
        assert_eq!(answer.mux_error(), Some("unauthenticated"));
    }
    // The first one, the second one, and one for each rest between.
    let most = 2 + begun.elapsed().as_secs() / 10;
    let fetched = metric(mux.admin, FETCHED).await;
    assert!(fetched <= most as f64, "{fetched}");
}

/// A call that waits for keys, and calls that have theirs.
#[tokio::test]
async fn nobody_else_waits_while_keys_are_fetched() {
    let (folder, signer) = (Folder::new("jwt-meanwhile"), Signer::new("a"));
    let publisher = Publisher::start(Says::keys(&jwks(&[&signer]))).await;
    let (mux, _edge) = server(&folder, &publisher.url(), &[]).await;
    let caller = Caller::connect(mux.proxy).await;
    let good = signer.token("svc-billing");
    is_taken(&caller, &good).await;
    publisher.says(Says::Nothing);
    let made_up = Signer::new("made-up").token("svc-billing");
    let mut other = JoinSet::new();
    let waits = Caller::connect(mux.proxy).await;
    other.spawn(async move {
        loop {
            let answer = call(&waits, &made_up).await;
            assert_eq!(answer.mux_error(), Some("unauthenticated"));
        }
    });
    publisher.asked(2).await;
    for _ in 0..100 {
        assert_eq!(call(&caller, &good).await.body, b"pong");
    }
    assert!(other.try_join_next().is_none());
    assert!(metric(mux.admin, FETCHED).await <= 1.0);
}

#[tokio::test]
async fn keys_are_fetched_over_tls_from_whom_the_authorities_know() {
    let (folder, signer) = (Folder::new("jwt-https"), Signer::new("a"));
    let [right, wrong] = ["right", "wrong"].map(Authority::new);
    let tls = right.signs("127.0.0.1").server(None, &["http/1.1"]);
    let keys = Says::keys(&jwks(&[&signer]));
    let publisher = Publisher::on("127.0.0.1:0", Some(Arc::new(tls).into()), keys).await;
    let ca = folder.put("ca.pem", wrong.pem());
    let option = format!("--callers-jwt-keys-ca={ca}");
    let url = publisher.url().replace("http:", "https:");
    let (mux, _edge) = server(&folder, &url, &[&option]).await;
    mux.says("TLS with it failed").await;
    folder.put("ca.pem", right.pem());
    let caller = Caller::connect(mux.proxy).await;
    is_taken(&caller, &signer.token("svc-billing")).await;
}

/// A reload that has nothing to do with it, one with another URL, and what is under way.
#[tokio::test]
async fn keys_outlive_a_reload_and_another_url_takes_their_place() {
    let folder = Folder::new("jwt-reload");
    let (first, second) = (Signer::new("a"), Signer::new("b"));
    let publisher = Publisher::start(Says::keys(&jwks(&[&first]))).await;
    let other = Publisher::start(Says::keys(&jwks(&[&second]))).await;
    let text = |url: &str| format!("callers-jwt-keys: {url}\n");
    let config = folder.put("server.yaml", text(&publisher.url()));
    let policy =
        "callers: {billing: {jwt-subjects: [svc-billing], calls: [{ids: ['*'], methods: ['*']}]}}";
    let policy = folder.put_secret("policy.yaml", policy);
    let [issuer, audience, _] = &crate::issuer("callers", "")[..] else {
        unreachable!("there are three");
    };
    let policy = format!("--callers-policy={policy}");
    let mux = Mux::with(&["--config", &config, issuer, audience, &policy]).await;
    let (_backend, address) = pong().await;
    let _edge = Edge::start(&mux, "rainbow", address.parse().unwrap()).await;
    let caller = Caller::connect(mux.proxy).await;
    let [old, new] = [&first, &second].map(|signer| signer.token("svc-billing"));
    is_taken(&caller, &old).await;
    publisher.says(Says::Nothing);
    mux.reload().await;
    assert_eq!(call(&caller, &old).await.body, b"pong");
    folder.put("server.yaml", text(&other.url()));
    mux.reload().await;
    is_taken(&caller, &new).await;
    assert_eq!(
        call(&caller, &old).await.mux_error(),
        Some("unauthenticated")
    );
}
