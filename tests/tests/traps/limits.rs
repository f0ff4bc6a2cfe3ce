//! What is too large, too many, too slow or too late: an answer in time, and nobody else's trouble.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::{join_all, pending};
use grpc_multiplexer_tests::{Backend, Call, Caller, Edge, Mux, until, within};
use h2::server::Builder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::SetOnce;

const ID: (&str, &str) = ("client-id", "rainbow");
const KIB: usize = 1024;
const STREAM_WINDOW: usize = 256 * KIB;

#[tokio::test]
async fn too_large_response_metadata_fails_its_call_and_not_the_lane() {
    let mux = Mux::start().await;
    let backend = Backend::h2(|mut call| async move {
        let (place, size) = match call.request.uri().path().split('/').collect::<Vec<_>>()[..] {
            ["", place, size] => (place.to_owned(), size.parse().unwrap_or(0)),
            _ => unreachable!("the paths below"),
        };
        let value = "v".repeat(size * KIB);
        match place.as_str() {
            "headers" => {
                call.respond(&[("k", &value)], false);
                call.wait_reset().await;
            }
            "trailers-only" => call.respond(&[("k", &value), ("grpc-status", "0")], true),
            "trailers" => {
                call.headers();
                call.data(b"x").await;
                call.trailers(&[("grpc-status", "0"), ("k", &value)]);
            }
            _ => call.echo().await,
        }
    })
    .await;
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let caller = Caller::connect(mux.proxy).await;
    // On the same lane all the time.
    let mut innocent = caller.start("/s/echo", &[ID]).await;
    innocent.data(b"first", false).await;
    backend.calls(1).await;
    let lanes = backend.connections();
    for place in ["headers", "trailers-only", "trailers"] {
        for size in [20, 70, 300] {
            let path = format!("/{place}/{size}");
            let answer = caller.call(&path, &[ID], b"").await;
            assert_eq!(answer.code(), Some(8), "{path}: {}", answer.message());
            assert_eq!(answer.mux_error(), Some("response-metadata"), "{path}");
        }
    }
    innocent.data(b"second", true).await;
    let answer = innocent.answer().await;
    assert_eq!(answer.code(), Some(0), "{answer:?}");
    assert_eq!(answer.body, b"firstsecond");
    assert_eq!(backend.connections(), lanes);
}

#[tokio::test]
async fn too_large_caller_metadata_is_answered_and_the_connection_lives() {
    let mux = Mux::start().await;
    let backend = Backend::h2(|mut call| async move { call.echo().await }).await;
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let caller = Caller::connect(mux.proxy).await;
    for size in [17, 24, 40, 60] {
        let value = "v".repeat(size * KIB);
        let answer = caller.call("/s/echo", &[ID, ("k", &value)], b"").await;
        answer.is_ours(8, "mux: metadata too large", "metadata", "no");
    }
    let many = vec![("k", "v"); 120];
    let answer = caller.call("/s/echo", &many, b"").await;
    answer.is_ours(8, "mux: metadata too large", "metadata", "no");
    let value = "v".repeat(15 * KIB);
    let answer = caller.call("/s/echo", &[ID, ("k", &value)], b"x").await;
    assert_eq!(answer.code(), Some(0), "{answer:?}");
    assert_eq!(backend.seen().len(), 1);
}

#[tokio::test]
async fn a_backend_that_allows_few_calls_gets_no_more_and_the_others_wait_or_are_refused() {
    const PER_LANE: usize = 4;
    const LANES: usize = 16;
    const MORE: usize = 40;
    let mux = Mux::start().await;
    let go = Arc::new(SetOnce::new());
    let mut settings = Builder::new();
    settings.max_concurrent_streams(PER_LANE as u32);
    let gate = Arc::clone(&go);
    let backend = Backend::h2_with(&settings, move |mut call| {
        let gate = Arc::clone(&gate);
        async move {
            call.read_all().await;
            gate.wait().await;
            call.ok(b"served").await;
        }
    })
    .await;
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let caller = Caller::connect(mux.proxy).await;
    let all = (0..PER_LANE * LANES).map(|_| caller.call("/s/m", &[ID], b""));
    let more = async {
        backend.calls(PER_LANE * LANES).await;
        let refused = join_all((0..MORE).map(|_| caller.call("/s/m", &[ID], b""))).await;
        for answer in refused {
            assert_eq!(answer.code(), Some(8), "{answer:?}");
            assert_eq!(answer.mux_error(), Some("edge-busy"), "{answer:?}");
        }
        assert_eq!(backend.seen().len(), PER_LANE * LANES);
        go.set(()).unwrap();
    };
    let (answers, ()) = tokio::join!(join_all(all), more);
    let later = join_all((0..200).map(|_| caller.call("/s/m", &[ID], b""))).await;
    for answer in answers.into_iter().chain(later) {
        assert_eq!(answer.code(), Some(0), "{answer:?}");
    }
    // One more is the edge's look at start whether its backend is there.
    assert!(backend.connections() <= LANES + 1);
}

/// Reads until the end; how many bytes came.
async fn read_to_end(socket: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    // A reset is an end too.
    let _ = within("the end of a connection", socket.read_to_end(&mut all)).await;
    all
}

async fn says(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    socket
}

#[tokio::test]
async fn whoever_says_nothing_or_stops_in_the_middle_is_cut() {
    let mux = Mux::start().await;
    let mut ends = Vec::new();
    for (address, bytes) in [
        (mux.proxy, &b""[..]),
        (mux.proxy, b"PRI * HTTP/2.0\r\n"),
        (mux.proxy, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (mux.multiplexer, b""),
        // Half the header of yamux's first frame.
        (mux.multiplexer, &[0, 1, 0, 1, 0, 0]),
    ] {
        let mut socket = says(address, bytes).await;
        ends.push(async move { read_to_end(&mut socket).await });
    }
    join_all(ends).await;
}

#[tokio::test]
async fn http1_is_told_to_come_with_http2() {
    let mux = Mux::start().await;
    for request in [
        "GET / HTTP/1.1\r\nhost: h\r\n\r\n",
        "POST /s/m HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nabc",
        // Begins like the preface of HTTP/2.
        "PRINT / HTTP/1.1\r\n\r\n",
    ] {
        let mut socket = says(mux.proxy, request.as_bytes()).await;
        socket.shutdown().await.unwrap();
        let answer = String::from_utf8(read_to_end(&mut socket).await).unwrap();
        assert!(answer.starts_with("HTTP/1.1 505 "), "{answer:?}");
    }
    // No method either.
    let mut socket = says(mux.proxy, &[0x01, 3, 1, 0, 0xff, 1]).await;
    assert_eq!(read_to_end(&mut socket).await, b"");
}

/// Windows on the backend's side that never run out.
fn wide() -> Builder {
    let mut settings = Builder::new();
    settings
        .initial_connection_window_size(1 << 28)
        .data_frame_budget(1 << 40);
    settings
}

#[tokio::test]
async fn callers_that_stop_reading_block_nobody_else() {
    const STALLED: usize = 64;
    let mux = Mux::start().await;
    let full = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&full);
    let backend = Backend::h2_with(&wide(), move |mut call| {
        let full = Arc::clone(&count);
        async move {
            if call.request.uri().path() == "/s/echo" {
                return call.echo().await;
            }
            call.headers();
            // What the server holds for this call, and what its caller's window took.
            call.data(&vec![0; STREAM_WINDOW]).await;
            full.fetch_add(1, Ordering::Relaxed);
            call.data(&vec![0; STREAM_WINDOW]).await;
            pending().await
        }
    })
    .await;
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let mut stalled = Vec::new();
    for _ in 0..STALLED {
        let caller = Caller::connect(mux.proxy).await;
        let mut call = caller.start("/s/flood", &[ID]).await;
        assert!(call.headers().await);
        stalled.push((caller, call));
    }
    until("a window of every stalled call", async || {
        (full.load(Ordering::Relaxed) == STALLED).then_some(())
    })
    .await;
    let caller = Caller::connect(mux.proxy).await;
    for _ in 0..5 {
        caller.echoes(&[ID], &vec![1; 500 * KIB]).await;
    }
    // And they were not cut for it.
    for (_, call) in &mut stalled {
        call.bytes(2 * STREAM_WINDOW).await;
    }
}

#[tokio::test]
async fn uploads_that_the_backend_does_not_read_block_nobody_else() {
    const STALLED: usize = 64;
    let mux = Mux::start().await;
    let go = Arc::new(SetOnce::new());
    let gate = Arc::clone(&go);
    let backend = Backend::h2_with(&wide(), move |mut call| {
        let gate = Arc::clone(&gate);
        async move {
            if call.request.uri().path() == "/s/stall" {
                gate.wait().await;
            }
            call.echo().await;
        }
    })
    .await;
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let caller = Caller::connect(mux.proxy).await;
    let mut stalled: Vec<Call> = Vec::new();
    for _ in 0..STALLED {
        let mut call = caller.start("/s/stall", &[ID]).await;
        call.data(&vec![0; STREAM_WINDOW], false).await;
        stalled.push(call);
    }
    for _ in 0..5 {
        caller.echoes(&[ID], &vec![1; 200 * KIB]).await;
    }
    go.set(()).unwrap();
    for mut call in stalled {
        call.data(b"end", true).await;
        call.bytes(STREAM_WINDOW + 3).await;
    }
}
