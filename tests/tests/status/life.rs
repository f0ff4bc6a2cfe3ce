//! What becomes of a call when something around it ends: a tunnel, a backend's connection, its caller, the server; and
//! what is tried again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use grpc_multiplexer_tests::{
    Backend, Caller, Ended, Frame, FrameConnection, Path, frame_backend, kind,
};
use h2::Reason;

const OK: [(&str, &str); 2] = [(":status", "200"), ("content-type", "application/grpc")];

/// A backend that answers headers and some bytes where it is asked to, and then waits for the call's end.
pub(crate) async fn waiting() -> Backend {
    Backend::h2(|mut call| async move {
        if call.request.headers().contains_key("answer") {
            call.headers();
            call.data(b"so far").await;
        }
        if call.request.headers().contains_key("read") {
            call.read_all().await;
        } else {
            call.wait_reset().await;
        }
    })
    .await
}

pub(crate) const ANSWER: &[(&str, &str)] = &[("answer", "")];

#[tokio::test]
async fn a_lost_tunnel_ends_its_calls_and_none_is_tried_again() {
    let backend = waiting().await;
    let soon = ["--reconnect-wait", "200ms"];
    let mut path = Path::with(&soon, &backend.address.to_string(), &[]).await;
    let before = path.ask(&[]).await;
    let mut after = path.start(ANSWER).await;
    after.bytes(6).await;
    backend.calls(2).await;
    path.edge.kill().await;
    let before = before.answer().await;
    let message = "mux: tunnel to edge 'rainbow' lost";
    before.is_ours(14, message, "tunnel-lost", "maybe");
    assert!(before.trailers_only, "{before:?}");
    let after = after.answer().await;
    after.is_ours(14, message, "tunnel-lost", "maybe");
    assert_eq!(after.body, b"so far");
    assert_eq!(backend.seen().len(), 2);
    let next = path.ask(&[]).await.answer().await;
    let message = "mux: edge 'rainbow' is not connected";
    next.is_ours(14, message, "edge-away", "no");
}

/// A backend by hand: the first `failing` calls are answered by `fail`, on their stream; later ones well. Counts calls.
async fn failing_first(
    failing: usize,
    fail: impl Fn(u32) -> Frame + Clone + Send + Sync + 'static,
) -> (Backend, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let backend = frame_backend(move |mut connection| {
        let (fail, count) = (fail.clone(), Arc::clone(&counted));
        async move {
            while let Some(frame) = connection.frame().await {
                if frame.kind != kind::HEADERS {
                    continue;
                }
                if count.fetch_add(1, Ordering::Relaxed) < failing {
                    connection.send(&fail(frame.stream)).await;
                } else {
                    let answer = [&OK[..], &[("grpc-status", "0")]].concat();
                    let answer = Frame::headers(frame.stream, &answer, true);
                    connection.send(&answer).await;
                }
            }
        }
    })
    .await;
    (backend, count)
}

fn refused(stream: u32) -> Frame {
    Frame::reset(stream, 7)
}

fn gone_away(_: u32) -> Frame {
    Frame::go_away(0, 0)
}

fn calm_down(_: u32) -> Frame {
    Frame::go_away(0, 11)
}

#[tokio::test]
async fn what_is_proven_unprocessed_is_tried_once_more() {
    for fail in [refused, gone_away, calm_down] {
        let (backend, count) = failing_first(1, fail).await;
        let path = Path::to(&backend).await;
        let answer = path.ask(&[]).await.answer().await;
        answer.is_backends(0);
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }
}

#[tokio::test]
async fn a_second_failure_is_answered() {
    let undelivered = "mux: call not delivered to edge 'rainbow'";
    for (fail, code, message, reason) in [
        (
            refused as fn(u32) -> Frame,
            14,
            "mux: stream refused",
            "refused",
        ),
        (gone_away, 14, undelivered, "unprocessed"),
        (calm_down, 8, "mux: backend overloaded", "backend-calm"),
    ] {
        let (backend, count) = failing_first(usize::MAX, fail).await;
        let path = Path::to(&backend).await;
        let answer = path.ask(&[]).await.answer().await;
        answer.is_ours(code, message, reason, "no");
        assert!(answer.trailers_only, "{answer:?}");
        assert_eq!(count.load(Ordering::Relaxed), 2, "{reason}");
    }
}

#[tokio::test]
async fn without_a_replay_buffer_a_call_whose_bytes_were_taken_is_not_tried_again() {
    for (goes_away, code, message, reason) in [
        (None, 14, "mux: stream refused", "refused"),
        (
            Some(0),
            14,
            "mux: call not delivered to edge 'rainbow'",
            "unprocessed",
        ),
        (Some(11), 8, "mux: backend overloaded", "backend-calm"),
    ] {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let backend = frame_backend(move |mut connection| {
            let calls = Arc::clone(&counted);
            async move {
                let call = connection.wait_for(kind::HEADERS).await;
                calls.fetch_add(1, Ordering::Relaxed);
                connection.wait_for(kind::DATA).await;
                let end = match goes_away {
                    None => Frame::reset(call.stream, 7),
                    Some(reason) => Frame::go_away(0, reason),
                };
                connection.send(&end).await;
                while connection.frame().await.is_some() {}
            }
        })
        .await;
        let none = ["--replay-buffer", "0"];
        let path = Path::with(&none, &backend.address.to_string(), &[]).await;
        let mut call = path.start(&[]).await;
        call.data(b"bytes", true).await;
        let answer = call.answer().await;
        answer.is_ours(code, message, reason, "no");
        assert_eq!(calls.load(Ordering::Relaxed), 1, "{reason}");
    }
}

#[tokio::test]
async fn a_backend_that_goes_away_finishes_what_it_took_and_gets_the_rest_anew() {
    let connections = Arc::new(AtomicUsize::new(0));
    let backend = frame_backend(move |mut connection| {
        let first = connections.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            let whole = [&OK[..], &[("grpc-status", "0")]].concat();
            if !first {
                while let Some(frame) = connection.frame().await {
                    if frame.kind == kind::HEADERS {
                        let answer = Frame::headers(frame.stream, &whole, true);
                        connection.send(&answer).await;
                    }
                }
                return;
            }
            let taken = connection.wait_for(kind::HEADERS).await.stream;
            let begin = [
                Frame::headers(taken, &OK, false),
                Frame::data(taken, b"so far", false),
            ];
            connection.send_all(&begin).await;
            connection.wait_for(kind::HEADERS).await;
            connection.send(&Frame::go_away(taken, 0)).await;
            // What was taken goes on, on this connection.
            connection.wait_for(kind::DATA).await;
            let end = [
                Frame::data(taken, b", and the rest", false),
                Frame::headers(taken, &[("grpc-status", "0")], true),
            ];
            connection.send_all(&end).await;
            connection.closed().await;
        }
    })
    .await;
    let path = Path::to(&backend).await;
    let mut taken = path.start(&[]).await;
    taken.bytes(6).await;
    // Above the last stream, and after the GOAWAY: both on a new connection, while the old one still lives.
    path.ask(&[]).await.answer().await.is_backends(0);
    path.ask(&[]).await.answer().await.is_backends(0);
    assert_eq!(backend.connections(), 2);
    taken.data(b"go on", true).await;
    let taken = taken.answer().await;
    taken.is_backends(0);
    assert_eq!(taken.body, b"so far, and the rest");
}

#[tokio::test]
async fn many_connections_that_go_away_cost_no_call() {
    const CALLS: usize = 4;
    let connections = Arc::new(AtomicUsize::new(0));
    // One stream a connection, so that the calls are on as many.
    let backend = frame_backend(move |mut connection| {
        let first = connections.fetch_add(1, Ordering::Relaxed) < CALLS;
        async move {
            let one_stream = [0, 3, 0, 0, 0, 1];
            let settings = Frame::new(kind::SETTINGS, 0, 0, &one_stream);
            connection.send(&settings).await;
            while let Some(frame) = connection.frame().await {
                if frame.kind == kind::DATA {
                    // It takes more streams by its settings, but says in the same breath that it goes away.
                    let more = Frame::new(kind::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]);
                    let bye = Frame::data(frame.stream, b"bye", false);
                    let all = [more, Frame::go_away(frame.stream, 0), bye];
                    connection.send_all(&all).await;
                } else if frame.kind == kind::HEADERS && first {
                    let begin = [
                        Frame::headers(frame.stream, &OK, false),
                        Frame::data(frame.stream, b"mine", false),
                    ];
                    connection.send_all(&begin).await;
                } else if frame.kind == kind::HEADERS {
                    let whole = [&OK[..], &[("grpc-status", "0")]].concat();
                    let answer = Frame::headers(frame.stream, &whole, true);
                    connection.send(&answer).await;
                }
            }
        }
    })
    .await;
    let path = Path::to(&backend).await;
    let mut calls = Vec::new();
    for n in 0..CALLS {
        let mut call = path.start(&[]).await;
        call.bytes(4).await;
        calls.push(call);
        assert_eq!(backend.connections(), n + 1);
    }
    for call in &mut calls {
        call.data(b"go", false).await;
        call.bytes(7).await;
    }
    path.ask(&[]).await.answer().await.is_backends(0);
}

#[tokio::test]
async fn an_overloaded_backend_that_closes_on_its_calls_is_unavailable() {
    let backend = frame_backend(|mut connection| async move {
        let call = connection.wait_for(kind::HEADERS).await;
        connection.send(&Frame::go_away(call.stream, 11)).await;
        connection.close();
    })
    .await;
    let path = Path::to(&backend).await;
    let answer = path.ask(&[]).await.answer().await;
    answer.is_ours(14, "mux: backend overloaded", "backend-calm", "maybe");
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn what_answered_is_never_called_unprocessed() {
    for (reason, message, name) in [
        (
            0,
            "mux: backend of edge 'rainbow' closed the connection",
            "backend-lost",
        ),
        (11, "mux: backend overloaded", "backend-calm"),
    ] {
        let backend = frame_backend(move |mut connection| async move {
            let call = connection.wait_for(kind::HEADERS).await.stream;
            let frames = [
                Frame::headers(call, &OK, false),
                Frame::data(call, b"so far", false),
                Frame::go_away(0, reason),
            ];
            connection.send_all(&frames).await;
            connection.closed().await;
        })
        .await;
        let path = Path::to(&backend).await;
        let answer = path.ask(&[]).await.answer().await;
        answer.is_ours(14, message, name, "maybe");
        assert_eq!(answer.body, b"so far");
    }
}

#[tokio::test]
async fn a_caller_that_leaves_cancels_its_call_at_the_backend() {
    let backend = waiting().await;
    let path = Path::to(&backend).await;
    let mut calls = 0;
    for answer in [&[][..], ANSWER] {
        let metadata = [answer, &[("read", "")]].concat();
        // By a reset, even one that says that nothing is wrong, in the middle of its upload.
        for reason in [Reason::CANCEL, Reason::NO_ERROR, Reason::INTERNAL_ERROR] {
            let mut call = path.start(&metadata).await;
            call.data(b"half of", false).await;
            backend.calls(calls + 1).await;
            call.reset(reason);
            let ended = backend.call_ended(calls).await;
            assert_eq!(ended, Ended::Reset(Reason::CANCEL), "{reason:?}");
            calls += 1;
        }
        // By a connection that breaks off.
        let caller = Caller::connect(path.mux.proxy).await;
        let metadata = [&[("client-id", "rainbow")], &metadata[..]].concat();
        let mut call = caller.start("/s/m", &metadata).await;
        call.data(b"half of", false).await;
        backend.calls(calls + 1).await;
        drop((call, caller));
        let ended = backend.call_ended(calls).await;
        assert_eq!(ended, Ended::Reset(Reason::CANCEL));
        calls += 1;
    }
    assert_eq!(backend.seen().len(), calls);
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn calls_beyond_what_the_backend_takes_wait_and_are_then_refused() {
    const LANES: usize = 16;
    let mut settings = h2::server::Builder::new();
    settings.max_concurrent_streams(1);
    let backend = Backend::h2_with(&settings, |mut call| async move {
        call.headers();
        call.read_all().await;
        call.trailers(&[("grpc-status", "0")]);
    })
    .await;
    let path = Path::to(&backend).await;
    let mut calls = Vec::new();
    for _ in 0..LANES {
        let mut call = path.start(&[]).await;
        assert!(call.headers().await);
        calls.push(call);
    }
    assert_eq!(backend.connections(), LANES);
    let answer = path.ask(&[]).await.answer().await;
    let message = "mux: edge 'rainbow' at call limit";
    answer.is_ours(8, message, "edge-busy", "no");
    assert_eq!(backend.seen().len(), LANES);
    // One that waits gets the place of one that ends.
    let waiting = path.ask(&[]).await;
    let mut first = calls.remove(0);
    first.data(b"", true).await;
    first.answer().await.is_backends(0);
    waiting.answer().await.is_backends(0);
}

/// A call that lasts keeps the connection that its backend wants to end: such connections must not use up all there are.
#[tokio::test]
async fn a_backend_may_end_many_connections_that_each_have_a_long_call() {
    const LONG: usize = 40;
    // As nginx does after some requests and grpc-go after some minutes, here after each call.
    let backend = frame_backend(|mut connection| async move {
        let stream = connection.wait_for(kind::HEADERS).await.stream;
        let begin = [
            Frame::headers(stream, &OK, false),
            Frame::go_away(stream, 0),
        ];
        connection.send_all(&begin).await;
        loop {
            let frame = connection.wait_for(kind::DATA).await;
            if frame.ends() {
                break;
            }
        }
        let end = Frame::headers(stream, &[("grpc-status", "0")], true);
        connection.send(&end).await;
        connection.closed().await;
    })
    .await;
    let path = Path::to(&backend).await;
    let mut calls = Vec::new();
    for n in 0..LONG {
        let mut call = path.start(&[]).await;
        assert!(call.headers().await, "{n}");
        calls.push(call);
    }
    for mut call in calls {
        call.data(b"", true).await;
        call.answer().await.is_backends(0);
    }
}

#[tokio::test]
async fn a_server_that_goes_away_tells_its_callers_and_cuts_what_does_not_end() {
    let backend = waiting().await;
    let mut path = Path::with(
        &["--drain-timeout", "2s"],
        &backend.address.to_string(),
        &[],
    )
    .await;
    let before = path.ask(&[]).await;
    let mut after = path.start(ANSWER).await;
    after.bytes(6).await;
    backend.calls(2).await;
    let mut idle = FrameConnection::connect(path.mux.proxy).await;
    idle.wait_for(kind::SETTINGS).await;
    path.mux.signal("TERM");
    // First that no more streams are wanted, then which was the last.
    let first = idle.wait_for(kind::GOAWAY).await.payload;
    assert_eq!(first[..8], [0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    let second = idle.wait_for(kind::GOAWAY).await.payload;
    assert_eq!(second[..8], [0; 8]);
    let message = "mux: server shutting down";
    let before = before.answer().await;
    before.is_ours(14, message, "draining", "maybe");
    let after = after.answer().await;
    after.is_ours(14, message, "draining", "maybe");
    assert_eq!(after.body, b"so far");
    for n in 0..2 {
        assert_eq!(backend.call_ended(n).await, Ended::Reset(Reason::CANCEL));
    }
    assert!(path.mux.ended().await.success());
    assert!(
        path.caller
            .closed()
            .await
            .is_none_or(|error| { error.is_go_away() && error.reason() == Some(Reason::NO_ERROR) })
    );
}
