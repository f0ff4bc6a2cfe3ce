//! Callers at the edges of what HTTP/2 allows them, frame by frame: streams beyond the limit, streams that race a
//! server that goes away, and headers beyond reading.

use grpc_multiplexer_tests::{Backend, Caller, Frame, FrameConnection, Path, kind, within};

const REFUSED_STREAM: [u8; 4] = [0, 0, 0, 7];

/// A backend that answers when the request is at its end.
async fn patient() -> Backend {
    let mut settings = h2::server::Builder::new();
    settings.max_concurrent_streams(10_000);
    Backend::h2_with(&settings, |mut call| async move {
        call.read_all().await;
        call.ok(b"bytes").await;
    })
    .await
}

fn call(stream: u32, end: bool) -> Frame {
    Frame::call(stream, "/s/m", "rainbow", end)
}

/// The next frame that is about a call.
async fn about_a_call(caller: &mut FrameConnection) -> Frame {
    within("a frame of a call", async {
        loop {
            let frame = caller.frame().await.expect("the connection lives");
            assert_ne!(frame.kind, kind::GOAWAY, "{frame:?}");
            let kinds = [kind::HEADERS, kind::DATA, kind::RST_STREAM];
            if kinds.contains(&frame.kind) {
                return frame;
            }
        }
    })
    .await
}

/// How many streams a SETTINGS frame allows.
fn streams(settings: &Frame) -> u32 {
    let mut settings = settings.payload.chunks(6);
    let streams = settings.find(|setting| setting[..2] == [0, 3]).unwrap();
    u32::from_be_bytes(streams[2..].try_into().unwrap())
}

#[tokio::test]
async fn a_stream_beyond_the_limit_is_refused_and_the_others_live() {
    let backend = patient().await;
    let path = Path::to(&backend).await;
    let mut caller = FrameConnection::connect(path.mux.proxy).await;
    let limit = streams(&caller.wait_for(kind::SETTINGS).await);
    assert!((100..10_000).contains(&limit), "{limit}");
    let open: Vec<_> = (0..limit).map(|n| call(2 * n + 1, false)).collect();
    caller.send_all(&open).await;
    // Before the backend has them all, and after.
    let beyond = 2 * limit + 1;
    for stream in [beyond, beyond + 2] {
        caller.send(&call(stream, true)).await;
        let verdict = about_a_call(&mut caller).await;
        assert_eq!((verdict.kind, verdict.stream), (kind::RST_STREAM, stream));
        assert_eq!(verdict.payload, REFUSED_STREAM);
        backend.calls(limit as usize).await;
    }
    // Where one ends there is room for another.
    caller.send(&Frame::data(1, b"", true)).await;
    while !about_a_call(&mut caller).await.ends() {}
    let stream = beyond + 4;
    caller.send(&call(stream, true)).await;
    let verdict = about_a_call(&mut caller).await;
    assert_eq!((verdict.kind, verdict.stream), (kind::HEADERS, stream));
    assert_eq!(backend.seen().len(), limit as usize + 1);
}

#[tokio::test]
async fn a_call_that_races_the_servers_end_is_served_and_a_later_one_ignored() {
    let backend = patient().await;
    let mut path = Path::to(&backend).await;
    let mut caller = FrameConnection::connect(path.mux.proxy).await;
    caller.send(&call(1, false)).await;
    backend.calls(1).await;
    path.mux.signal("TERM");
    let first = caller.wait_for(kind::GOAWAY).await.payload;
    assert_eq!(first[..8], [0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    // It left before its caller heard of that.
    caller.send(&call(3, true)).await;
    // Whoever reads on answers the server's PING, behind which nothing can be under way any more.
    let (mut last, mut answered) = (None, false);
    while last.is_none() || !answered {
        let frame = within("a frame", caller.frame()).await.unwrap();
        match frame.kind {
            kind::GOAWAY => last = Some(frame.payload),
            kind::HEADERS if frame.stream == 3 => answered |= frame.ends(),
            kind::RST_STREAM => panic!("{frame:?}"),
            _ => {}
        }
    }
    assert_eq!(last.unwrap()[..8], [0, 0, 0, 3, 0, 0, 0, 0]);
    // Above the last: by GOAWAY the caller knows that nobody looks at it. What is older goes on.
    caller.send(&call(5, true)).await;
    caller.send(&Frame::data(1, b"", true)).await;
    let mut ended = false;
    while let Some(frame) = within("the end", caller.frame()).await {
        assert_ne!(frame.stream, 5, "{frame:?}");
        ended |= frame.stream == 1 && frame.kind == kind::HEADERS && frame.ends();
    }
    assert!(ended, "a call under way ends well");
    assert_eq!(backend.seen().len(), 2);
    assert!(path.mux.ended().await.success());
}

#[tokio::test]
async fn headers_beyond_reading_end_their_own_connection_and_no_other() {
    let backend = patient().await;
    let path = Path::to(&backend).await;
    let mut bystander = path.start(&[]).await;
    let caller = Caller::connect(path.mux.proxy).await;
    let huge = "v".repeat(300 * 1024);
    let metadata = [("client-id", "rainbow"), ("k", &huge)];
    let call = caller.send(Caller::request("/s/m", &metadata), true).await;
    let answer = call.answer().await;
    assert!(answer.error.is_some(), "{answer:?}");
    assert!(caller.closed().await.is_some());
    bystander.data(b"", true).await;
    bystander.answer().await.is_backends(0);
    assert_eq!(backend.seen().len(), 1);
}
