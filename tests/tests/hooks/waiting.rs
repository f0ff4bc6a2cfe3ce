//! Calls that wait for the hook are calls like others: they are counted, hear that nobody wants them any more, and when all
//! must end.

use std::future::pending;
use std::time::Duration;

use grpc_multiplexer_proto::hooks::v1::AuthorizeResponse;
use grpc_multiplexer_tests::{Call, Caller, metric, until};
use h2::Reason;
use tokio::time::Instant;
use tonic::Status;

use crate::callers::{call, for_callers, policy};
use crate::hook::Hook;
use crate::{TOKEN, yes};

const TIMEOUT: &str = "--hooks-timeout=8s";
/// Half of it.
const SOON: Duration = Duration::from_secs(4);
/// More than questions about callers at a time.
const MANY: usize = 300;
/// Whose they are: one that cancelled all of them at once would be taken for a flood.
const CALLERS: usize = 5;

/// Calls of which the hook says nothing, to an edge and to the server itself.
const SLOW: &str = "/slow/m";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
const LIST: &str = "/grpc.multiplexer.v1.DiscoveryService/ListGRPCServer";

/// One that says nothing of them.
async fn hanging() -> Hook {
    let decide = async |method: String| -> Result<AuthorizeResponse, Status> {
        if [SLOW, WATCH].contains(&&*method) {
            pending::<()>().await;
        }
        Ok(yes())
    };
    Hook::of_callers_in_time(move |caller| decide(caller.method)).await
}

/// A call of which it says nothing, with something of its own to show.
async fn slow(caller: &Caller, number: usize) -> Call {
    let shown = format!("Bearer {number}");
    let metadata = [("client-id", "rainbow"), ("authorization", &*shown)];
    caller.start(SLOW, &metadata).await
}

/// And nobody else's question waits for a place that they had.
#[tokio::test]
async fn calls_that_are_cancelled_while_the_hook_is_asked_end_then() {
    let hook = hanging().await;
    let (mux, _backend, _edge) = for_callers(&hook, &[TIMEOUT]).await;
    let mut callers = Vec::new();
    for _ in 0..CALLERS {
        callers.push(Caller::connect(mux.proxy).await);
    }
    let mut calls = Vec::new();
    for number in 0..MANY {
        calls.push(slow(&callers[number % CALLERS], number).await);
    }
    let caller = &callers[0];
    calls.push(caller.start(WATCH, &[]).await);
    until("all calls", async || {
        let in_flight = metric(mux.admin, "calls_in_flight").await;
        (in_flight == calls.len() as f64).then_some(())
    })
    .await;
    let cancelled = Instant::now();
    for call in &mut calls {
        call.reset(Reason::CANCEL);
    }
    let answer = call(caller, &[("authorization", "Bearer other")]).await;
    assert_eq!(answer.code(), Some(0), "{answer:?}");
    until("the end of all calls", async || {
        let in_flight = metric(mux.admin, "calls_in_flight").await;
        (in_flight == 0.0).then_some(())
    })
    .await;
    assert!(cancelled.elapsed() < SOON, "{:?}", cancelled.elapsed());
}

/// Those to the server's own services are none of them.
#[tokio::test]
async fn calls_of_which_the_hook_is_asked_are_among_those_that_there_may_be() {
    let hook = hanging().await;
    let (mux, _backend, _edge) = for_callers(&hook, &[TIMEOUT, "--max-calls=2"]).await;
    let caller = Caller::connect(mux.proxy).await;
    let _calls = [slow(&caller, 0).await, slow(&caller, 1).await];
    hook.callers_times(2).await;
    let refused = call(&caller, &[]).await;
    assert_eq!(refused.mux_error(), Some("overload"), "{refused:?}");
    assert_eq!(mux.listed().await, ["rainbow"]);
}

#[tokio::test]
async fn a_call_of_which_the_hook_is_asked_is_told_when_the_server_stops() {
    let hook = hanging().await;
    let (mux, _backend, _edge) = for_callers(&hook, &[TIMEOUT, "--drain-timeout=100ms"]).await;
    let caller = Caller::connect(mux.proxy).await;
    let mut call = slow(&caller, 0).await;
    call.data(b"x", true).await;
    hook.callers_times(1).await;
    mux.signal("TERM");
    let answer = call.answer().await;
    assert_eq!(answer.mux_error(), Some("draining"), "{answer:?}");
}

/// Though the answer would be there at once.
#[tokio::test]
async fn who_loses_its_rights_while_the_hook_is_asked_is_not_served_by_them() {
    let hook = Hook::of_callers(|_| Ok(yes())).await;
    hook.holds(true);
    let (policy, folder) = policy("{ids: ['*'], methods: ['*']}");
    let (mux, _backend, _edge) = for_callers(&hook, &[&policy, "--hooks-timeout=8s"]).await;
    let caller = Caller::connect(mux.proxy).await;
    let list = async {
        let token = format!("Bearer {TOKEN}");
        let shown = [("proxy-authorization", &*token)];
        caller.call(LIST, &shown, &[0; 5]).await
    };
    let change = async {
        hook.callers_times(1).await;
        folder.put_secret("policy.yaml", "callers: {}\n");
        mux.reload().await;
        hook.holds(false);
    };
    let (answer, ()) = tokio::join!(list, change);
    assert_eq!(answer.mux_error(), Some("revoked"), "{answer:?}");
}
