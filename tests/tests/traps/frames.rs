//! What frames and resets do to an HTTP/2 connection that many calls share: nothing.

use std::future::pending;

use bytes::Bytes;
use futures::future::join_all;
use grpc_multiplexer_tests::{
    Backend, Call, Caller, Edge, Ended, Frame, FrameConnection, Mux, kind, until, within,
};
use h2::Reason;
use h2::server::Builder;

const ID: (&str, &str) = ("client-id", "rainbow");
const INNOCENTS: usize = 10;

/// Windows that never stop a caller's upload here: what the backend does not read is its own to keep.
fn wide() -> Builder {
    let mut settings = Builder::new();
    settings
        .initial_connection_window_size(1 << 28)
        .data_frame_budget(1 << 40);
    settings
}

/// Calls that have nothing to do with the trouble succeed.
async fn innocents(caller: &Caller) {
    for _ in 0..INNOCENTS {
        caller.echoes(&[ID], &[7; 40_000]).await;
    }
}

/// Connections of the backend, once a lane is up: one more means that a lane died.
async fn connections(mux: &Mux, backend: &Backend) -> usize {
    Caller::connect(mux.proxy).await.echoes(&[ID], b"").await;
    backend.connections()
}

#[tokio::test]
async fn tiny_frames_behind_unread_responses_kill_nothing() {
    const STREAMS: usize = 72;
    const FRAMES: usize = 1_500;
    let mux = Mux::start().await;
    let backend = Backend::h2_with(&wide(), |mut call| async move {
        if call.request.uri().path() == "/s/echo" {
            return call.echo().await;
        }
        call.headers();
        for _ in 0..FRAMES {
            call.data(b"tiny00").await;
        }
        call.trailers(&[("grpc-status", "0")]);
    })
    .await;
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let lanes = connections(&mux, &backend).await;
    // A window of one byte each: nobody reads, and everything piles up on the way.
    let unread = Caller::with(mux.proxy, h2::client::Builder::new().initial_window_size(1)).await;
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        let mut stream = unread.start("/s/tiny", &[ID]).await;
        assert!(stream.headers().await);
        streams.push(stream);
    }
    innocents(&Caller::connect(mux.proxy).await).await;
    assert_eq!(backend.connections(), lanes);
    for stream in &mut streams {
        stream.bytes(6).await;
    }
}

#[tokio::test]
async fn tiny_frames_behind_unread_requests_kill_nothing() {
    const STREAMS: usize = 72;
    const FRAMES: usize = 1_000;
    let mux = Mux::start().await;
    let mut settings = wide();
    settings.initial_window_size(1);
    let backend = Backend::h2_with(&settings, |mut call| async move {
        if call.request.uri().path() == "/s/echo" {
            return call.echo().await;
        }
        pending().await
    })
    .await;
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let lanes = connections(&mux, &backend).await;
    let caller = Caller::connect(mux.proxy).await;
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        streams.push(caller.start("/s/tiny", &[ID]).await);
    }
    let sent = streams.iter_mut().map(|stream| async {
        for _ in 0..FRAMES {
            stream.data(b"tiny00", false).await;
        }
    });
    join_all(sent).await;
    caller.echoes(&[ID], b"a window of one byte is slow").await;
    assert_eq!(backend.connections(), lanes);
}

#[tokio::test]
async fn empty_frames_of_callers_do_not_reach_the_lane_that_all_share() {
    let mux = Mux::start().await;
    let backend = Backend::h2(|mut call| async move { call.echo().await }).await;
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let lanes = connections(&mux, &backend).await;
    // h2 ends a connection at its 101st empty frame: 3 callers send 90 each, and share one lane.
    for _ in 0..3 {
        let caller = Caller::connect(mux.proxy).await;
        for _ in 0..90 {
            let mut call = caller.start("/s/echo", &[ID]).await;
            call.sender().send_data(Bytes::new(), false).unwrap();
            call.data(b"x", false).await;
            call.data(b"", true).await;
            let answer = call.answer().await;
            assert_eq!(answer.code(), Some(0), "{:?}", answer.error);
            assert_eq!(answer.body, b"x");
        }
    }
    assert_eq!(backend.connections(), lanes);
}

#[tokio::test]
async fn empty_frames_of_backends_do_not_reach_callers() {
    let mux = Mux::start().await;
    let backend = Backend::h2(|mut call| async move {
        call.headers();
        call.stream().send_data(Bytes::new(), false).unwrap();
        call.data(b"x").await;
        call.trailers(&[("grpc-status", "0")]);
    })
    .await;
    // h2 ends a connection at its 101st empty frame: each backend sends 90, and one caller calls them all.
    let names = ["a", "b", "c"];
    let edges = names.map(|name| Edge::start(&mux, name, backend.address));
    let _edges = join_all(edges).await;
    let caller = Caller::connect(mux.proxy).await;
    for name in names {
        for _ in 0..90 {
            let answer = caller.call("/s/m", &[("client-id", name)], b"").await;
            assert_eq!(answer.code(), Some(0), "{:?}", answer.error);
            assert_eq!(answer.body, b"x");
        }
    }
}

#[tokio::test]
async fn thousands_of_cancelled_streams_with_data_under_way_do_not_end_the_lane() {
    const CALLS: usize = 3_000;
    const AT_ONCE: usize = 50;
    let mux = Mux::start().await;
    // As a server on hyper introduces itself, which counts no resets: so any fresh lane would be one that ended.
    let mut settings = Builder::new();
    settings
        .initial_window_size(1 << 20)
        .max_frame_size(16_384)
        .max_header_list_size(16_384);
    let backend = Backend::h2_with(&settings, |mut call| async move {
        if call.request.uri().path() == "/s/echo" {
            return call.echo().await;
        }
        call.headers();
        for _ in 0..64 {
            call.data(&[0; 1_024]).await;
            tokio::task::yield_now().await;
        }
        pending().await
    })
    .await;
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let lanes = connections(&mux, &backend).await;
    let caller = Caller::connect(mux.proxy).await;
    for _ in 0..CALLS / AT_ONCE {
        let mut calls = Vec::new();
        for _ in 0..AT_ONCE {
            calls.push(caller.start("/s/flood", &[ID]).await);
        }
        for mut call in calls {
            assert!(call.headers().await);
            call.reset(Reason::CANCEL);
        }
    }
    innocents(&caller).await;
    assert_eq!(backend.connections(), lanes);
}

#[tokio::test]
async fn thousands_of_early_answers_to_uploads_under_way_do_not_end_the_callers_connection() {
    const CALLS: u32 = 3_000;
    const AT_ONCE: u32 = 100;
    let mux = Mux::start().await;
    let mut caller = FrameConnection::connect(mux.proxy).await;
    let head = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/s/m"),
        (":authority", "h"),
        ("content-type", "application/grpc"),
        ("client-id", "nobody"),
    ];
    for round in 0..CALLS / AT_ONCE {
        let streams = (0..AT_ONCE).map(|n| 2 * (round * AT_ONCE + n) + 1);
        for stream in streams.clone() {
            caller.send(&Frame::headers(stream, &head, false)).await;
            caller.send(&Frame::data(stream, b"early", false)).await;
        }
        let mut answers = 0;
        while answers < AT_ONCE {
            let frame = within("an answer", caller.frame()).await;
            let frame = frame.expect("the connection lives");
            assert_ne!(frame.kind, kind::GOAWAY, "{frame:?}");
            answers += u32::from(frame.kind == kind::HEADERS);
        }
        // What was under way when the answers were.
        for stream in streams {
            caller.send(&Frame::data(stream, b"late", true)).await;
        }
    }
    caller
        .send(&Frame::new(kind::PING, 0, 0, b"alive?!?"))
        .await;
    loop {
        let frame = within("an answer to a PING", caller.frame()).await;
        let frame = frame.expect("the connection lives");
        assert_ne!(frame.kind, kind::GOAWAY, "{frame:?}");
        if frame.kind == kind::PING && frame.payload == b"alive?!?" {
            return;
        }
    }
}

#[tokio::test]
async fn an_upload_that_is_reset_never_looks_complete() {
    const CALLS: usize = 120;
    let mux = Mux::start().await;
    let backend = Backend::h2_with(&wide(), |mut call| async move { call.read_all().await }).await;
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let caller = Caller::connect(mux.proxy).await;
    let reasons = [
        Reason::NO_ERROR,
        Reason::CANCEL,
        Reason::INTERNAL_ERROR,
        Reason::REFUSED_STREAM,
    ];
    let mut calls: Vec<Call> = Vec::new();
    for _ in 0..CALLS {
        let mut call = caller.start("/s/m", &[ID]).await;
        call.data(b"half", false).await;
        calls.push(call);
    }
    until("half of every upload", async || {
        let seen = backend.seen();
        let arrived = seen.iter().filter(|seen| seen.body == b"half").count();
        (arrived == CALLS).then_some(())
    })
    .await;
    for (call, reason) in calls.iter_mut().zip(reasons.into_iter().cycle()) {
        call.reset(reason);
    }
    for n in 0..CALLS {
        assert_eq!(backend.call_ended(n).await, Ended::Reset(Reason::CANCEL));
    }
}

#[tokio::test]
async fn a_response_without_a_status_gets_one() {
    let mux = Mux::start().await;
    let backend = Backend::h2(|mut call| async move {
        call.read_all().await;
        let path = call.request.uri().path().to_owned();
        if path == "/s/reset-at-once" {
            return call.reset(Reason::NO_ERROR);
        }
        call.headers();
        call.data(b"half").await;
        match path.as_str() {
            "/s/end" => call.stream().send_data(Bytes::new(), true).unwrap(),
            "/s/trailers" => call.trailers(&[("k", "v")]),
            _ => {
                // The reset must not overtake the bytes.
                call.stream().reserve_capacity(1);
                call.reset(Reason::NO_ERROR);
            }
        }
    })
    .await;
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let caller = Caller::connect(mux.proxy).await;
    for (path, code, reason) in [
        ("/s/reset-at-once", 13, "backend-reset"),
        ("/s/reset", 13, "backend-reset"),
        ("/s/end", 2, "no-status"),
        ("/s/trailers", 2, "no-status"),
    ] {
        let answer = caller.call(path, &[ID], b"").await;
        assert_eq!(answer.code(), Some(code), "{path}: {answer:?}");
        assert_eq!(answer.mux_error(), Some(reason), "{path}: {answer:?}");
        assert_eq!(answer.reset, None, "{path}: {answer:?}");
    }
}
