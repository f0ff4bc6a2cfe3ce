//! Callers whom nobody decides on, because the hook fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use grpc_multiplexer_proto::hooks::v1::AuthorizeResponse;
use grpc_multiplexer_tests::{Caller, Edge, free};
use tonic::Status;

use crate::callers::{call, for_callers};
use crate::hook::Hook;
use crate::{no, pong, server, yes};

#[tokio::test]
async fn a_hook_that_fails_keeps_callers_out_or_lets_them_in_as_is_asked_for() {
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = Arc::clone(&broken);
    let hook = Hook::of_callers(move |_| match is_broken.load(Ordering::Relaxed) {
        true => Err(Status::internal("it fails")),
        false => Ok(yes()),
    })
    .await;
    let (mux, backend, _edge) = for_callers(&hook, &[]).await;
    let caller = Caller::connect(mux.proxy).await;
    let said = "mux: the server's hook does not say who may call";
    call(&caller, &[])
        .await
        .is_ours(14, said, "hook-failed", "no");
    assert!(backend.seen().is_empty());
    broken.store(false, Ordering::Relaxed);
    assert_eq!(call(&caller, &[]).await.code(), Some(0));

    let [nowhere] = free();
    let further = ["--hooks-for=callers", "--hooks-on-failure=allow"];
    let mux = server(nowhere, &further).await;
    let (_backend, address) = pong().await;
    let edge = Edge::dialling(mux.multiplexer, "rainbow", &address, &[]);
    edge.says(" connected ").await;
    let caller = Caller::connect(mux.proxy).await;
    assert_eq!(call(&caller, &[]).await.code(), Some(0));
}

/// Whoever lets callers in while the hook is away does not while it says something wrong, which may be a no.
#[tokio::test]
async fn only_a_hook_that_is_away_lets_callers_past() {
    let hook = Hook::of_callers(|caller| {
        let says = caller.headers.iter().find(|it| it.name == "says").unwrap();
        let an_hour_and_more = prost_types::Duration {
            seconds: 3601,
            nanos: 0,
        };
        let too_long = |answer| AuthorizeResponse {
            cache_for: Some(an_hour_and_more),
            ..answer
        };
        match &*says.value {
            "no" => Ok(too_long(no("not paid for"))),
            "yes" => Ok(too_long(yes())),
            "away" => Err(Status::unavailable("later")),
            _ => Err(Status::permission_denied("not paid for")),
        }
    })
    .await;
    let (mux, _backend, _edge) = for_callers(&hook, &["--hooks-on-failure=allow"]).await;
    let caller = Caller::connect(mux.proxy).await;
    for (says, error) in [
        ("no", Some("hook-refused")),
        ("yes", Some("hook-failed")),
        ("denied", Some("hook-failed")),
        ("away", None),
    ] {
        let answer = call(&caller, &[("says", says)]).await;
        assert_eq!(answer.mux_error(), error, "{answer:?}");
    }
}
