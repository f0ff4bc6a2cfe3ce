//! Calls to an edge that is away: who waits for it, how long, and how the wait ends.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

use std::net::SocketAddr;
use std::time::Duration;

use grpc_multiplexer_tests::{Answer, Backend, Call, Caller, Edge, Mux, metric, until};
use h2::Reason;
use tokio::time::Instant;

/// What the server says of each call that begins to wait.
const WAITS: &str = "a call waits for its edge";
/// Longer than any test: who is let go before did not wait to the end.
const LONG: [&str; 2] = ["--reconnect-wait", "1h"];
const NOT_CONNECTED: &str = "mux: edge 'rainbow' is not connected";

/// A backend that answers each call with what it got.
async fn answering() -> Backend {
    Backend::h2(|mut call| async move {
        call.read_all().await;
        call.ok(b"done").await;
    })
    .await
}

/// A server that knows the edge `rainbow`, which was there and left.
async fn left(options: &[&str]) -> Mux {
    let mux = Mux::with(options).await;
    let mut edge = Edge::start(&mux, "rainbow", "127.0.0.1:1".parse().unwrap()).await;
    edge.kill().await;
    until("the edge to be gone", async || {
        mux.listed().await.is_empty().then_some(())
    })
    .await;
    mux
}

fn edge_of(multiplexer: SocketAddr, id: &str, backend: &Backend) -> Edge {
    Edge::dialling(multiplexer, id, &backend.address.to_string(), &[])
}

/// A call whose whole request is its headers.
async fn ask(caller: &Caller, id: &str, metadata: &[(&str, &str)]) -> Call {
    let metadata = [&[("client-id", id)], metadata].concat();
    caller.send(Caller::request("/s/m", &metadata), true).await
}

fn is_done(answer: &Answer) {
    answer.is_backends(0);
    assert_eq!(answer.body, b"done");
}

#[tokio::test]
async fn a_call_waits_while_its_edge_is_restarted() {
    let backend = answering().await;
    let mux = left(&[]).await;
    let caller = Caller::connect(mux.proxy).await;
    let asked = ask(&caller, "rainbow", &[]).await;
    let mut uploads = caller.start("/s/m", &[("client-id", "rainbow")]).await;
    uploads.data(b"some", false).await;
    mux.says_times(WAITS, 2).await;
    assert_eq!(metric(mux.admin, "calls_waiting").await, 2.0);
    let _edge = edge_of(mux.multiplexer, "rainbow", &backend);
    is_done(&asked.answer().await);
    uploads.data(b" more", true).await;
    is_done(&uploads.answer().await);
    let mut bodies: Vec<_> = backend.seen().into_iter().map(|call| call.body).collect();
    bodies.sort();
    assert_eq!(bodies, [&b""[..], b"some more"]);
    assert_eq!(metric(mux.admin, "calls_waiting").await, 0.0);
}

#[tokio::test]
async fn nobody_waits_for_an_edge_that_was_never_there() {
    let mux = left(&LONG).await;
    let caller = Caller::connect(mux.proxy).await;
    let answer = ask(&caller, "Rainbow", &[]).await.answer().await;
    answer.is_ours(5, "Client 'Rainbow' not registered", "unknown-edge", "no");
}

#[tokio::test]
async fn after_a_restart_of_the_server_calls_wait_for_their_edges() {
    let backend = answering().await;
    let mut mux = Mux::lasting(&[]).await;
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    mux.kill().await;
    // With the defaults of the product: the edge is back within the wait.
    let mux = mux.again(&["--warm-up", "30s"]).await;
    let caller = Caller::connect(mux.proxy).await;
    is_done(&ask(&caller, "rainbow", &[]).await.answer().await);
}

#[tokio::test]
async fn while_it_warms_up_a_server_takes_every_edge_for_one_that_is_away() {
    let mux = Mux::with(&["--warm-up", "1h", "--reconnect-wait", "100ms"]).await;
    let caller = Caller::connect(mux.proxy).await;
    let answer = ask(&caller, "rainbow", &[]).await.answer().await;
    answer.is_ours(14, NOT_CONNECTED, "edge-away", "no");
}

#[tokio::test]
async fn the_end_of_the_wait_and_of_the_calls_own_time_are_told_apart() {
    let mux = left(&["--reconnect-wait", "2s"]).await;
    let caller = Caller::connect(mux.proxy).await;
    let started = Instant::now();
    let patient = ask(&caller, "rainbow", &[("grpc-timeout", "1M")]).await;
    let hurried = ask(&caller, "rainbow", &[("grpc-timeout", "200m")]).await;
    let hurried = hurried.answer().await;
    hurried.is_ours(4, "mux: deadline exceeded", "deadline", "no");
    let patient = patient.answer().await;
    patient.is_ours(14, NOT_CONNECTED, "edge-away", "no");
    assert!(started.elapsed() >= Duration::from_secs(2));
}

#[tokio::test]
async fn an_edge_is_remembered_for_its_time() {
    let mux = left(&["--remember-edges", "2s", "--reconnect-wait", "0"]).await;
    let caller = Caller::connect(mux.proxy).await;
    let mut was_away = false;
    let forgotten = until("the edge to be forgotten", async || {
        let answer = ask(&caller, "rainbow", &[]).await.answer().await;
        let away = answer.mux_error() == Some("edge-away");
        was_away |= away;
        (!away).then_some(answer)
    })
    .await;
    forgotten.is_ours(5, "Client 'rainbow' not registered", "unknown-edge", "no");
    assert!(was_away);
}

#[tokio::test]
async fn so_many_calls_wait_and_no_more() {
    let backend = answering().await;
    let limits = [
        "--max-waiting-calls-per-edge",
        "2",
        "--max-waiting-calls",
        "3",
    ];
    let mux = left(&[&LONG[..], &limits, &["--warm-up", "1h"]].concat()).await;
    let caller = Caller::connect(mux.proxy).await;
    let first = ask(&caller, "rainbow", &[]).await;
    let second = ask(&caller, "rainbow", &[]).await;
    mux.says_times(WAITS, 2).await;
    let third = ask(&caller, "rainbow", &[]).await.answer().await;
    third.is_ours(8, "mux: edge 'rainbow' at call limit", "edge-busy", "no");
    let _other = ask(&caller, "other", &[]).await;
    mux.says_times(WAITS, 3).await;
    let third = ask(&caller, "third", &[]).await.answer().await;
    third.is_ours(14, "mux: overloaded", "overload", "no");
    // Who waits keeps the place, and gives it back.
    let _edge = edge_of(mux.multiplexer, "rainbow", &backend);
    is_done(&first.answer().await);
    is_done(&second.answer().await);
    let _third = ask(&caller, "third", &[]).await;
    mux.says_times(WAITS, 4).await;
}

#[tokio::test]
async fn a_caller_that_leaves_while_its_call_waits_is_not_heard_of_again() {
    let backend = answering().await;
    let mux = left(&LONG).await;
    let caller = Caller::connect(mux.proxy).await;
    let mut resets = caller.start("/s/m", &[("client-id", "rainbow")]).await;
    resets.data(b"some", false).await;
    let gone = Caller::connect(mux.proxy).await;
    let drops = ask(&gone, "rainbow", &[]).await;
    mux.says_times(WAITS, 2).await;
    resets.reset(Reason::CANCEL);
    drop((drops, gone));
    mux.says_times("caller gone", 2).await;
    let _edge = edge_of(mux.multiplexer, "rainbow", &backend);
    is_done(&ask(&caller, "rainbow", &[]).await.answer().await);
    assert_eq!(backend.seen().len(), 1);
}

#[tokio::test]
async fn a_server_that_goes_away_does_not_keep_who_waits() {
    let mut mux = left(&[&LONG[..], &["--drain-timeout", "1h"]].concat()).await;
    let caller = Caller::connect(mux.proxy).await;
    let asked = ask(&caller, "rainbow", &[]).await;
    mux.says(WAITS).await;
    mux.signal("TERM");
    let answer = asked.answer().await;
    answer.is_ours(14, "mux: server shutting down", "draining", "no");
    assert!(mux.ended().await.success());
}

#[tokio::test]
async fn an_edge_that_owes_a_sign_of_life_is_waited_for() {
    let backend = answering().await;
    let mux = Mux::with(&LONG).await;
    let edge = Edge::start(&mux, "rainbow", backend.address).await;
    let caller = Caller::connect(mux.proxy).await;
    is_done(&ask(&caller, "rainbow", &[]).await.answer().await);
    edge.signal("STOP");
    // The first goes into the tunnel, and is what the edge owes a sign for.
    let mut calls = vec![ask(&caller, "rainbow", &[]).await];
    until("a call to wait", async || {
        calls.push(ask(&caller, "rainbow", &[]).await);
        mux.log()
            .iter()
            .any(|line| line.contains(WAITS))
            .then_some(())
    })
    .await;
    edge.signal("CONT");
    for call in calls {
        is_done(&call.answer().await);
    }
}

#[tokio::test]
async fn uploads_that_wait_leave_their_connections_window_to_others() {
    const UPLOADS: usize = 24;
    let backend = answering().await;
    let mux = left(&LONG).await;
    let _other = Edge::start(&mux, "other", backend.address).await;
    let caller = Caller::connect(mux.proxy).await;
    // Together more than the window of a connection that nobody reads.
    let upload = vec![7; 256 * 1024];
    let mut calls = Vec::new();
    for _ in 0..UPLOADS {
        let mut call = caller.start("/s/m", &[("client-id", "rainbow")]).await;
        call.data(&upload, false).await;
        calls.push(call);
    }
    let other = caller.call("/s/m", &[("client-id", "other")], &upload);
    is_done(&other.await);
    let _edge = edge_of(mux.multiplexer, "rainbow", &backend);
    for mut call in calls {
        call.data(b"end", true).await;
        is_done(&call.answer().await);
    }
    let seen = backend.seen();
    assert_eq!(seen.len(), UPLOADS + 1);
    for call in &seen[1..] {
        assert_eq!(call.body.len(), upload.len() + 3);
    }
}

/// Else some that waited would be refused in the moment in which their edge is back.
#[tokio::test]
async fn no_more_calls_wait_for_an_edge_than_it_has_room_for() {
    let limits = [
        "--max-calls-per-edge",
        "1",
        "--max-queued-calls-per-edge",
        "1",
    ];
    let backend = answering().await;
    let mux = left(&[&LONG[..], &limits].concat()).await;
    let caller = Caller::connect(mux.proxy).await;
    let mut waiting = Vec::new();
    for _ in 0..2 {
        waiting.push(ask(&caller, "rainbow", &[]).await);
    }
    mux.says_times(WAITS, 2).await;
    let third = ask(&caller, "rainbow", &[]).await.answer().await;
    third.is_ours(8, "mux: edge 'rainbow' at call limit", "edge-busy", "no");
    let _edge = edge_of(mux.multiplexer, "rainbow", &backend);
    for call in waiting {
        is_done(&call.answer().await);
    }
}
