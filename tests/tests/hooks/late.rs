//! Callers whom the hook refuses again and again hear of it late.

use std::time::Duration;

use grpc_multiplexer_tests::{Caller, metric, until};
use tokio::time::Instant;

use crate::callers::{call, for_callers, policy};
use crate::hook::Hook;
use crate::{TOKEN, no, yes};

/// Who may guess has to wait for a no, and who is known does not.
#[tokio::test]
async fn only_strangers_wait_for_their_no_and_no_longer_than_they_want() {
    let hook = Hook::of_callers(|_| Ok(no("not paid for"))).await;
    let (mux, _backend, _edge) = for_callers(&hook, &[]).await;
    let caller = Caller::connect(mux.proxy).await;
    for _ in 0..5 {
        let answer = call(&caller, &[]).await;
        assert_eq!(answer.mux_error(), Some("hook-refused"), "{answer:?}");
    }
    let late = call(&caller, &[("grpc-timeout", "1500m")]).await;
    assert_eq!(late.mux_error(), Some("deadline"), "{late:?}");

    let (policy, _folder) = policy("{ids: ['*'], methods: ['*']}");
    let (mux, _backend, _edge) = for_callers(&hook, &[&policy]).await;
    let caller = Caller::connect(mux.proxy).await;
    let token = format!("Bearer {TOKEN}");
    let began = Instant::now();
    for _ in 0..10 {
        let answer = call(&caller, &[("proxy-authorization", &token)]).await;
        assert_eq!(answer.mux_error(), Some("hook-refused"), "{answer:?}");
    }
    // Five of them would be 2 s late.
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn who_waits_for_a_late_no_has_no_place_among_calls() {
    let hook = Hook::of_callers(|caller| {
        let is_paid = caller.headers.iter().any(|it| it.name == "paid");
        Ok(if is_paid { yes() } else { no("not paid for") })
    })
    .await;
    let (mux, _backend, _edge) = for_callers(&hook, &["--max-calls=2"]).await;
    let caller = Caller::connect(mux.proxy).await;
    for _ in 0..5 {
        let answer = call(&caller, &[]).await;
        assert_eq!(answer.mux_error(), Some("hook-refused"), "{answer:?}");
    }
    let mut late = Vec::new();
    for _ in 0..2 {
        let call = caller.start("/s/m", &[("client-id", "rainbow")]).await;
        late.push(call);
    }
    until("all of them are refused", async || {
        let refused = r#"hook_duration_seconds_count{hook="authorize",result="refused"}"#;
        (metric(mux.admin, refused).await >= 7.0).then_some(())
    })
    .await;
    let answer = call(&caller, &[("paid", "yes")]).await;
    assert_eq!(answer.code(), Some(0), "{answer:?}");
    for call in late {
        let answer = call.answer().await;
        assert_eq!(answer.mux_error(), Some("hook-refused"), "{answer:?}");
    }
}
