//! What a hook says of callers for more than one call.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use grpc_multiplexer_proto::hooks::v1::AuthorizeResponse;
use grpc_multiplexer_tests::{Caller, Edge, metric, until};
use h2::Reason;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tonic::Status;

use crate::callers::{call, for_callers};
use crate::hook::Hook;
use crate::{knowing, no, pong, yes};

/// Longer than a test.
const AN_HOUR: Duration = Duration::from_secs(3600);

/// An answer that holds for so long.
fn kept(time: Duration, answer: AuthorizeResponse) -> AuthorizeResponse {
    AuthorizeResponse {
        cache_for: Some(time.try_into().unwrap()),
        ..answer
    }
}

/// What comes of so many calls that are made at once.
async fn at_once(proxy: std::net::SocketAddr, calls: usize) -> Vec<Option<u32>> {
    let mut made = JoinSet::new();
    for _ in 0..calls {
        made.spawn(async move {
            let caller = Caller::connect(proxy).await;
            call(&caller, &[("authorization", "Bearer a")]).await.code()
        });
    }
    made.join_all().await
}

/// But not for others, from elsewhere among them; and many who come at once ask once. A no is like a yes.
#[tokio::test]
async fn an_answer_is_kept_as_long_as_it_says_for_who_shows_the_same() {
    let hook = Hook::of_callers(|caller| {
        let is_let = !caller.headers.iter().any(|it| it.name == "debtor");
        let answer = if is_let { yes() } else { no("not paid for") };
        Ok(kept(AN_HOUR, answer))
    })
    .await;
    let (mux, _backend, _edge) = for_callers(&hook, &[]).await;
    assert_eq!(at_once(mux.proxy, 50).await, [Some(0); 50]);
    assert_eq!(hook.callers().len(), 1);
    let caller = Caller::connect(mux.proxy).await;
    call(&caller, &[("authorization", "Bearer b")]).await;
    call(&caller, &[("proxy-authorization", "Bearer a")]).await;
    call(&caller, &[]).await;
    assert_eq!(hook.callers().len(), 4);
    call(&caller, &[("authorization", "Bearer b")]).await;
    assert_eq!(hook.callers().len(), 4);
    let elsewhere = Caller::from([127, 0, 0, 2].into(), mux.proxy).await;
    call(&elsewhere, &[("authorization", "Bearer b")]).await;
    assert_eq!(hook.callers()[4].remote_address, "127.0.0.2");
    for debtor in [&[("debtor", "yes")][..], &[]] {
        let shown = [&[("authorization", "Bearer c")], debtor].concat();
        let answer = call(&caller, &shown).await;
        assert_eq!(answer.mux_error(), Some("hook-refused"), "{answer:?}");
    }
    assert_eq!(hook.callers().len(), 6);
}

/// So a hook that looks at the id must say which there are, or be asked each time.
#[tokio::test]
async fn an_answer_is_kept_for_all_ids_that_it_lets_a_caller_have() {
    let hook = Hook::of_callers(|caller| {
        let client_ids = match caller.headers.iter().any(|it| it.name == "bound") {
            true => vec!["rainbow".to_owned()],
            false => Vec::new(),
        };
        let answer = AuthorizeResponse {
            client_ids,
            ..yes()
        };
        Ok(kept(AN_HOUR, answer))
    })
    .await;
    let (mux, _backend, _edge) = for_callers(&hook, &[]).await;
    let (_other, address) = pong().await;
    let edge = Edge::dialling(mux.multiplexer, "kitchen", &address, &[]);
    edge.says(" connected ").await;
    let caller = Caller::connect(mux.proxy).await;
    for (shown, code) in [
        (&[("authorization", "Bearer a")][..], 0),
        (&[("authorization", "Bearer b"), ("bound", "yes")], 5),
    ] {
        assert_eq!(call(&caller, shown).await.code(), Some(0));
        let metadata = [&[("client-id", "kitchen")], shown].concat();
        let answer = caller.call("/s/m", &metadata, b"x").await;
        assert_eq!(answer.code(), Some(code), "{answer:?}");
    }
    assert_eq!(hook.callers().len(), 2);
}

#[tokio::test]
async fn an_answer_is_kept_no_longer_than_it_says_and_not_over_a_reload() {
    let hook = Hook::of_callers(|caller| {
        let time = match caller.headers.iter().find(|it| it.name == "time") {
            Some(time) => Duration::from_millis(time.value.parse().unwrap()),
            None => AN_HOUR,
        };
        Ok(kept(time, yes()))
    })
    .await;
    let (mux, _backend, _edge) = for_callers(&hook, &[]).await;
    let caller = Caller::connect(mux.proxy).await;
    let brief = [("authorization", "Bearer brief"), ("time", "50")];
    until("another question", async || {
        assert_eq!(call(&caller, &brief).await.code(), Some(0));
        (hook.callers().len() == 2).then_some(())
    })
    .await;
    let long = [("authorization", "Bearer long"), ("time", "3600001")];
    let answer = call(&caller, &long).await;
    assert_eq!(answer.mux_error(), Some("hook-failed"), "{answer:?}");
    mux.says("a cache_for that cannot be").await;
    for asked in [4, 4] {
        call(&caller, &[]).await;
        assert_eq!(hook.callers().len(), asked);
    }
    mux.reload().await;
    call(&caller, &[]).await;
    assert_eq!(hook.callers().len(), 5);
}

#[tokio::test]
async fn an_answer_with_very_many_ids_is_for_one_call() {
    let hook = Hook::of_callers(|caller| {
        let many = caller.headers.iter().find(|it| it.name == "many").unwrap();
        let further = (1..many.value.parse().unwrap()).map(|number| format!("edge-{number}"));
        let answer = AuthorizeResponse {
            client_ids: further.chain(["rainbow".to_owned()]).collect(),
            ..yes()
        };
        Ok(kept(AN_HOUR, answer))
    })
    .await;
    let (mux, _backend, _edge) = for_callers(&hook, &[]).await;
    let caller = Caller::connect(mux.proxy).await;
    for (many, asked) in [("100", [1, 1]), ("101", [2, 3])] {
        for asked in asked {
            let shown = [("authorization", many), ("many", many)];
            assert_eq!(call(&caller, &shown).await.code(), Some(0));
            assert_eq!(hook.callers().len(), asked);
        }
    }
}

/// All wait for the first answer, which does not come in time.
#[tokio::test]
async fn each_call_has_all_of_the_time_for_its_own_answer() {
    let is_first = AtomicBool::new(true);
    let hook = Hook::of_callers_in_time(move |_| {
        let is_first = is_first.swap(false, Ordering::Relaxed);
        async move {
            match is_first {
                true => pending().await,
                false => Ok(yes()),
            }
        }
    })
    .await;
    let (mux, _backend, _edge) = for_callers(&hook, &["--hooks-timeout=2s"]).await;
    let mut codes = at_once(mux.proxy, 20).await;
    codes.sort();
    assert_eq!((&codes[..19], codes[19]), (&[Some(0); 19][..], Some(14)));
    assert_eq!(hook.callers().len(), 20);
}

/// So it is with an answer that is for one call.
#[tokio::test]
async fn a_failure_is_for_one_call_and_the_others_are_asked_for_at_once() {
    let answers = Arc::new(Semaphore::new(0));
    let given = Arc::clone(&answers);
    let hook = Hook::of_callers_in_time(move |_| {
        let given = Arc::clone(&given);
        async move {
            given.acquire().await.unwrap().forget();
            Err(Status::internal("it fails"))
        }
    })
    .await;
    let (mux, _backend, _edge) = for_callers(&hook, &["--hooks-timeout=8s"]).await;
    let give = async {
        until("all calls", async || {
            let in_flight = metric(mux.admin, "calls_in_flight").await;
            (in_flight == 20.0).then_some(())
        })
        .await;
        hook.callers_times(1).await;
        assert_eq!(hook.callers().len(), 1);
        answers.add_permits(1);
        hook.callers_times(20).await;
        answers.add_permits(19);
    };
    let (codes, ()) = tokio::join!(at_once(mux.proxy, 20), give);
    assert_eq!(codes, [Some(14); 20]);
    assert_eq!(hook.callers().len(), 20);
}

#[tokio::test]
async fn an_answer_is_kept_that_comes_after_a_failure() {
    let is_broken = AtomicBool::new(true);
    let hook = Hook::of_callers(move |_| match is_broken.swap(false, Ordering::Relaxed) {
        true => Err(Status::internal("it fails")),
        false => Ok(kept(AN_HOUR, yes())),
    })
    .await;
    let (mux, _backend, _edge) = for_callers(&hook, &[]).await;
    let caller = Caller::connect(mux.proxy).await;
    for (code, asked) in [(14, 1), (0, 2), (0, 2)] {
        assert_eq!(call(&caller, &[]).await.code(), Some(code));
        assert_eq!(hook.callers().len(), asked);
    }
}

/// Else one whose calls are shorter than the hook is slow would be asked for again and again.
#[tokio::test]
async fn an_answer_is_kept_also_if_its_call_is_over_by_then() {
    let hook = Hook::of_callers(|_| Ok(kept(AN_HOUR, yes()))).await;
    hook.holds(true);
    let (mux, _backend, _edge) = for_callers(&hook, &["--hooks-timeout=8s"]).await;
    let caller = Caller::connect(mux.proxy).await;
    let mut begun = caller.start("/s/m", &[("client-id", "rainbow")]).await;
    hook.callers_times(1).await;
    begun.reset(Reason::CANCEL);
    let short = [("grpc-timeout", "50m")];
    for _ in 0..3 {
        let answer = call(&caller, &short).await;
        assert_eq!(answer.mux_error(), Some("deadline"), "{answer:?}");
    }
    hook.holds(false);
    assert_eq!(call(&caller, &[]).await.code(), Some(0));
    assert_eq!(hook.callers().len(), 1);
}

/// Whether anybody is there to hear of it or not.
#[tokio::test]
async fn a_hook_that_hangs_is_seen_by_those_who_look_after_it() {
    let hook = Hook::of_callers(|_| Ok(yes())).await;
    hook.holds(true);
    let (mux, _backend, _edge) = for_callers(&hook, &["--hooks-timeout=1s"]).await;
    let caller = Caller::connect(mux.proxy).await;
    let mut begun = caller.start("/s/m", &[("client-id", "rainbow")]).await;
    hook.callers_times(1).await;
    begun.reset(Reason::CANCEL);
    let line = mux.says("the hook did not say who may come").await;
    assert!(line.contains("no answer within 1s"), "{line}");
    let failed = r#"hook_duration_seconds_count{hook="authorize",result="failed"}"#;
    assert_eq!(metric(mux.admin, failed).await, 1.0);
}

/// Without what it said.
#[tokio::test]
async fn who_may_go_on_without_the_hook_does_so_when_its_answer_is_good_no_more() {
    let brief = Duration::from_millis(300);
    let hook = Hook::of_callers(move |_| Ok(kept(brief, knowing(&[("plan", "gold")])))).await;
    let (mux, backend, _edge) = for_callers(&hook, &["--hooks-on-failure=allow"]).await;
    let caller = Caller::connect(mux.proxy).await;
    assert_eq!(call(&caller, &[]).await.code(), Some(0));
    let plan = |number| {
        backend
            .seen_call(number)
            .headers
            .remove("x-mux-caller-ctx-plan")
    };
    assert_eq!(plan(0).unwrap(), "gold");
    let _stopped = hook.stop().await;
    let mut number = 0;
    until("a call without a plan", async || {
        assert_eq!(call(&caller, &[]).await.code(), Some(0));
        number += 1;
        plan(number).is_none().then_some(())
    })
    .await;
    mux.says("is_let_in=true").await;
}
