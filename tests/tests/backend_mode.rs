//! An edge with `backend-mode: terminate`: what a small window costs behind a long link, and that calls are the same otherwise.

use std::time::Duration;

use grpc_multiplexer_tests::{Backend, Caller, Edge, Ended, H2Call, Link, Mux, Path, Relay};
use h2::Reason;
use h2::server::Builder;
use http::HeaderMap;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

const TERMINATE: &[&str] = &["--backend-mode", "terminate"];
/// What a backend takes before its application read anything.
const WINDOW: u32 = 65_535;
const LATE: Link = Link::Late {
    by: Duration::from_millis(20),
    jitter: Duration::ZERO,
};

/// Small windows, of streams and connections.
fn small() -> Builder {
    let mut settings = Builder::new();
    settings
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .data_frame_budget(1 << 40);
    settings
}

/// Reads a call, and answers `pong`.
async fn pong(mut call: H2Call) {
    call.read_all().await;
    call.ok(b"pong").await;
}

/// A backend with small windows that reads every call.
async fn small_pong() -> Backend {
    Backend::h2_with(&small(), pong).await
}

/// A backend with those settings that reads all but the calls of one path, which are `script`'s.
async fn pong_but<F>(
    settings: &Builder,
    path: &'static str,
    script: impl Fn(H2Call) -> F + Clone + Send + Sync + 'static,
) -> Backend
where
    F: Future<Output = ()> + Send + 'static,
{
    Backend::h2_with(settings, move |call| {
        let script = script.clone();
        async move {
            if call.request.uri().path() == path {
                script(call).await;
            } else {
                pong(call).await;
            }
        }
    })
    .await
}

async fn path_to(backend: &Backend) -> Path {
    Path::with(&[], &backend.address.to_string(), TERMINATE).await
}

/// How long an upload to that edge takes.
async fn upload(mux: &Mux, edge: &str, bytes: usize) -> Duration {
    let caller = Caller::connect(mux.proxy).await;
    let metadata = [("client-id", edge)];
    // The connection to the backend is there, and both ends know the way.
    let warm = caller.call("/s/m", &metadata, b"ping").await;
    assert_eq!(warm.code(), Some(0), "{warm:?}");
    let began = Instant::now();
    let answer = caller.call("/s/m", &metadata, &vec![7; bytes]).await;
    assert_eq!(answer.code(), Some(0), "{answer:?}");
    began.elapsed()
}

#[tokio::test]
async fn an_upload_behind_a_long_link_is_not_held_to_the_backends_window() {
    const BYTES: usize = 4 << 20;
    let mux = Mux::start().await;
    let backend = small_pong().await;
    let link = Relay::to(mux.multiplexer).await;
    link.set(LATE);
    let address = backend.address.to_string();
    let splicing = Edge::dialling(link.address, "splicing", &address, &[]);
    let terminating = Edge::dialling(link.address, "terminating", &address, TERMINATE);
    splicing.says(" connected ").await;
    terminating.says(" connected ").await;
    let spliced = upload(&mux, "splicing", BYTES).await;
    // The processor may be busy, and the link is not.
    let mut terminated = Duration::MAX;
    for _ in 0..3 {
        terminated = terminated.min(upload(&mux, "terminating", BYTES).await);
    }
    assert!(
        terminated * 4 <= spliced,
        "spliced {spliced:?}, terminated {terminated:?}"
    );
}

#[tokio::test]
async fn trailers_of_a_request_come_after_what_is_before_them() {
    let backend = small_pong().await;
    let path = path_to(&backend).await;
    let mut call = path.start(&[]).await;
    let body = vec![7; 1 << 20];
    call.data(&body, false).await;
    let mut trailers = HeaderMap::new();
    trailers.insert("checksum", "5".parse().unwrap());
    call.sender().send_trailers(trailers.clone()).unwrap();
    let answer = call.answer().await;
    assert_eq!((answer.code(), &*answer.body), (Some(0), &b"pong"[..]));
    let seen = backend.seen_call(0);
    assert!(seen.body == body, "other bytes");
    assert_eq!(seen.trailers, trailers);
    assert_eq!(seen.ended, Some(Ended::Cleanly));
}

/// Many that wait keep as much of the connection to the backend as they would without an edge, and no more of the tunnel.
#[tokio::test]
async fn calls_that_the_backend_does_not_read_hold_up_no_others() {
    const STALLED: usize = 30;
    let mut settings = small();
    settings.initial_connection_window_size(8 << 20);
    let backend = pong_but(&settings, "/s/stalls", async |mut call| {
        call.wait_reset().await;
    })
    .await;
    let path = path_to(&backend).await;
    let metadata = [("client-id", "rainbow")];
    let mut stalled = Vec::new();
    for _ in 0..STALLED {
        let mut call = path.caller.start("/s/stalls", &metadata).await;
        // What the backend and the edge take for it.
        call.data(&[7; 2 * WINDOW as usize], false).await;
        stalled.push(call);
    }
    for _ in 0..20 {
        let answer = path.caller.call("/s/m", &metadata, &[7; 300_000]).await;
        assert_eq!(answer.code(), Some(0), "{answer:?}");
    }
    backend.calls(STALLED + 20).await;
    for call in &mut stalled {
        call.reset(Reason::CANCEL);
    }
    for n in 0..STALLED {
        assert_eq!(backend.call_ended(n).await, Ended::Reset(Reason::CANCEL));
    }
}

#[tokio::test]
async fn a_cancel_amid_an_upload_reaches_the_backend_and_costs_nobody_else() {
    let backend = pong_but(&small(), "/s/stalls", async |mut call| {
        call.chunk().await;
        call.wait_reset().await;
    })
    .await;
    let path = path_to(&backend).await;
    let metadata = [("client-id", "rainbow")];
    for n in 0..10 {
        let mut call = path.caller.start("/s/stalls", &metadata).await;
        call.data(&[7; WINDOW as usize], false).await;
        backend.calls(2 * n + 1).await;
        call.reset(Reason::CANCEL);
        let ended = backend.call_ended(2 * n).await;
        assert_eq!(ended, Ended::Reset(Reason::CANCEL));
        let answer = path.caller.call("/s/m", &metadata, &[7; 200_000]).await;
        assert_eq!(answer.code(), Some(0), "{answer:?}");
    }
}

#[tokio::test]
async fn a_deadline_ends_an_upload_that_waits_at_the_edge() {
    let backend = Backend::h2_with(&small(), async |mut call| call.wait_reset().await).await;
    let path = path_to(&backend).await;
    let mut call = path.start(&[("grpc-timeout", "500m")]).await;
    call.data(&[7; 2 * WINDOW as usize], false).await;
    let answer = call.answer().await;
    assert_eq!(answer.code(), Some(4), "{answer:?}");
    let ended = backend.call_ended(0).await;
    assert_eq!(ended, Ended::Reset(Reason::CANCEL));
}

#[tokio::test]
async fn a_backend_that_breaks_off_amid_an_upload_is_lost_and_the_next_call_finds_it_again() {
    let backend = pong_but(&small(), "/s/breaks", async |mut call| {
        call.chunk().await;
        call.close_connection();
        call.wait_reset().await;
    })
    .await;
    let path = path_to(&backend).await;
    let metadata = [("client-id", "rainbow")];
    let mut call = path.caller.start("/s/breaks", &metadata).await;
    // All that may be under way.
    call.try_data(&[7; 2 * WINDOW as usize], false).await;
    let answer = call.answer().await;
    assert_eq!(
        answer.ending("x-mux-error"),
        Some("backend-lost"),
        "{answer:?}"
    );
    let answer = path.caller.call("/s/m", &metadata, &[7; 200_000]).await;
    assert_eq!(answer.code(), Some(0), "{answer:?}");
}

#[tokio::test]
async fn a_backend_that_speaks_no_http2_is_named() {
    let backend = Backend::tcp(async |mut socket| {
        let said = b"HTTP/1.1 400 Bad Request\r\n\r\n";
        socket.write_all(said).await.unwrap();
    })
    .await;
    let path = path_to(&backend).await;
    let answer = path.ask(&[]).await.answer().await;
    let message = answer.ending("grpc-message").unwrap();
    assert!(message.contains("(not-http2)"), "{answer:?}");
}

/// Uploads to that edge until the server names its backend's window, or so many bytes went.
async fn uploads(mux: &Mux, edge: &str, most: usize) {
    const NAMED: &str = "an upload waits for its backend's window";
    let caller = Caller::connect(mux.proxy).await;
    let mut call = caller.start("/s/m", &[("client-id", edge)]).await;
    let named = || {
        mux.log()
            .iter()
            .any(|l| l.contains(NAMED) && l.contains(edge))
    };
    let mut sent = 0;
    while sent < most && !named() {
        call.data(&[7; 100_000], false).await;
        sent += 100_000;
    }
    call.data(b"", true).await;
    let answer = call.answer().await;
    assert_eq!(answer.code(), Some(0), "{answer:?}");
    assert_eq!(named(), most == usize::MAX, "{edge} after {sent} bytes");
}

#[tokio::test]
async fn a_window_that_limits_an_upload_is_named_and_a_slow_backend_is_not() {
    let mux = Mux::start().await;
    let backend = small_pong().await;
    let link = Relay::to(mux.multiplexer).await;
    link.set(LATE);
    let slow = Relay::to(backend.address).await;
    slow.set_forth(Link::Slow(500_000));
    let (near, far) = (backend.address.to_string(), slow.address.to_string());
    let mut edges = Vec::new();
    for (id, backend) in [("narrow", near), ("slow", far)] {
        let edge = Edge::dialling(link.address, id, &backend, &[]);
        edge.says(" connected ").await;
        edges.push(edge);
    }
    // The slow one for longer than is looked at.
    tokio::join!(
        uploads(&mux, "narrow", usize::MAX),
        uploads(&mux, "slow", 1_500_000),
    );
    let said = mux.says("an upload waits for its backend's window").await;
    for part in [
        "WARN",
        "client_id=narrow",
        "window_kib=63",
        "backend-mode: terminate",
    ] {
        assert!(said.contains(part), "{said}");
    }
}
