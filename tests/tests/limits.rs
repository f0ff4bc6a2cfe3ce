//! Every limit at its edge: what is within it passes, one more gets exactly one answer, and the next passes again once
//! one is over.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use grpc_multiplexer_tests::{
    Answer, Backend, Caller, Edge, Frame, FrameConnection, Mux, Path, kind, metric, until, within,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Instant;

const ID: (&str, &str) = ("client-id", "rainbow");
const BUSY: &str = "mux: edge 'rainbow' at call limit";

/// A backend that answers a call for each permit that a test adds.
async fn gated() -> (Backend, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let of_backend = Arc::clone(&gate);
    let backend = Backend::h2(move |mut call| {
        let gate = Arc::clone(&of_backend);
        async move {
            gate.acquire().await.unwrap().forget();
            call.ok(b"served").await;
        }
    })
    .await;
    (backend, gate)
}

fn is_served(answer: &Answer) {
    assert_eq!(answer.code(), Some(0), "{answer:?}");
    assert_eq!(answer.body, b"served");
}

#[tokio::test]
async fn an_edge_has_so_many_calls_and_so_many_wait() {
    let (backend, gate) = gated().await;
    let options = [
        "--max-calls-per-edge",
        "2",
        "--max-queued-calls-per-edge",
        "1",
        "--queue-timeout",
        "10m",
    ];
    let path = Path::with(&options, &backend.address.to_string(), &[]).await;
    let ask = async || path.ask(&[]).await.answer().await;
    let mut calls = FuturesUnordered::new();
    for _ in 0..2 {
        calls.push(ask());
    }
    tokio::select! {
        answer = calls.next() => panic!("{answer:?}"),
        () = backend.calls(2) => {}
    }
    for _ in 0..2 {
        calls.push(ask());
    }
    // One of the last two waits, and the other is one too many.
    let refused = calls.next().await.unwrap();
    refused.is_ours(8, BUSY, "edge-busy", "no");
    assert_eq!(backend.seen().len(), 2);
    gate.add_permits(1);
    is_served(&calls.next().await.unwrap());
    tokio::select! {
        answer = calls.next() => panic!("{answer:?}"),
        () = backend.calls(3) => {}
    }
    gate.add_permits(2);
    while let Some(answer) = calls.next().await {
        is_served(&answer);
    }
    gate.add_permits(1);
    is_served(&ask().await);
}

#[tokio::test]
async fn without_patience_a_full_edge_refuses_at_once() {
    let (backend, gate) = gated().await;
    let options = ["--max-calls-per-edge", "1", "--queue-timeout", "0"];
    let path = Path::with(&options, &backend.address.to_string(), &[]).await;
    let first = path.ask(&[]).await;
    backend.calls(1).await;
    let answer = path.ask(&[]).await.answer().await;
    answer.is_ours(8, BUSY, "edge-busy", "no");
    gate.add_permits(1);
    is_served(&first.answer().await);
}

/// Waits until so many calls wait for a place.
async fn queued(mux: &Mux, calls: usize) {
    until(&format!("{calls} calls wait"), async || {
        let queued = metric(mux.admin, "calls_queued").await;
        (queued == calls as f64).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_caller_with_a_thousand_calls_keeps_nobody_from_one() {
    const THEIRS: usize = 1000;
    let (backend, gate) = gated().await;
    let options = [
        "--max-calls-per-edge",
        "4",
        "--max-queued-calls-per-edge",
        "2000",
        "--queue-timeout",
        "10m",
    ];
    let mux = Mux::with(&options).await;
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let (many, one) = (
        Caller::connect(mux.proxy).await,
        Caller::connect(mux.proxy).await,
    );
    let mut theirs = FuturesUnordered::new();
    for _ in 0..THEIRS {
        let call = many.send(Caller::request("/s/many", &[ID]), true).await;
        theirs.push(call.answer());
    }
    tokio::select! {
        answer = theirs.next() => panic!("{answer:?}"),
        () = backend.calls(4) => {}
    }
    queued(&mux, THEIRS - 4).await;
    let mut own = Box::pin(one.call("/s/one", &[ID], b""));
    tokio::select! {
        answer = &mut own => panic!("{answer:?}"),
        () = queued(&mux, THEIRS - 3) => {}
    }
    // The first place that comes free is for the other caller.
    gate.add_permits(1);
    is_served(&theirs.next().await.unwrap());
    backend.calls(5).await;
    assert_eq!(backend.seen_call(4).path, "/s/one");
    gate.add_permits(THEIRS);
    is_served(&own.await);
    while let Some(answer) = theirs.next().await {
        is_served(&answer);
    }
}

/// Waits until a socket is closed before a byte was said.
async fn turned_away(socket: &mut TcpStream) {
    let mut byte = [0];
    // A reset is an end too.
    let read = within("the end of a connection", socket.read(&mut byte)).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

/// A call that reaches no edge: it shows that its connection is served.
async fn is_heard(caller: &Caller) {
    let answer = caller.call("/s/m", &[("client-id", "nobody")], b"").await;
    assert_ne!(answer.code(), None, "{answer:?}");
}

#[tokio::test]
async fn so_many_callers_are_let_in_and_the_next_is_turned_away() {
    for option in [
        "--max-caller-connections",
        "--max-caller-connections-per-address",
    ] {
        let mux = Mux::with(&[option, "2"]).await;
        let first = Caller::connect(mux.proxy).await;
        let second = Caller::connect(mux.proxy).await;
        is_heard(&first).await;
        is_heard(&second).await;
        for _ in 0..3 {
            turned_away(&mut TcpStream::connect(mux.proxy).await.unwrap()).await;
        }
        mux.says(&option[2..]).await;
        is_heard(&first).await;
        let said = mux
            .log()
            .iter()
            .filter(|line| line.contains("turned away"))
            .count();
        assert_eq!(said, 1, "{:?}", mux.log());
        let reason = if option.ends_with("address") {
            "address"
        } else {
            "limit"
        };
        let family = format!("turned_away_total{{listener=\"proxy\",reason=\"{reason}\"}}");
        assert_eq!(metric(mux.admin, &family).await, 3.0);
        drop(first);
        let _third = mux.lets_in().await;
        is_heard(&second).await;
    }
}

#[tokio::test]
async fn callers_from_one_address_leave_room_for_another() {
    let mux = Mux::with(&["--max-caller-connections-per-address", "1"]).await;
    let first = Caller::connect(mux.proxy).await;
    is_heard(&first).await;
    turned_away(&mut TcpStream::connect(mux.proxy).await.unwrap()).await;
    let other = TcpSocket::new_v4().unwrap();
    other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = other.connect(mux.proxy).await.unwrap();
    other.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let answer = within("an answer", other.read(&mut [0; 16])).await;
    assert!(matches!(answer, Ok(1..)), "{answer:?}");
}

#[tokio::test]
async fn a_connection_has_so_many_calls_and_one_more_is_refused_unprocessed() {
    let (backend, gate) = gated().await;
    let mux = Mux::with(&["--max-calls-per-connection", "3"]).await;
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let mut frames = FrameConnection::connect(mux.proxy).await;
    let call = |stream| {
        let entries = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/s/m"),
            (":authority", "mux.test"),
            ("content-type", "application/grpc"),
            ID,
        ];
        Frame::headers(stream, &entries, true)
    };
    frames.send_all(&[1, 3, 5, 7].map(call)).await;
    let refused = frames.wait_for(kind::RST_STREAM).await;
    assert_eq!(
        (refused.stream, &refused.payload[..]),
        (7, &[0, 0, 0, 7][..])
    );
    gate.add_permits(1);
    while !frames.wait_for(kind::HEADERS).await.ends() {}
    frames.send(&call(9)).await;
    backend.calls(4).await;
}

#[tokio::test]
async fn metadata_is_limited_as_the_options_say() {
    let backend = Backend::h2(async |mut call| call.ok(b"served").await).await;
    let options = [
        "--max-metadata-size",
        "2KiB",
        "--max-metadata-entries",
        "20",
    ];
    let path = Path::with(&options, &backend.address.to_string(), &[]).await;
    let value = "v".repeat(1500);
    is_served(&path.ask(&[("k", &value)]).await.answer().await);
    let value = "v".repeat(2048);
    let answer = path.ask(&[("k", &value)]).await.answer().await;
    answer.is_ours(8, "mux: metadata too large", "metadata", "no");
    is_served(&path.ask(&[("k", "v"); 15]).await.answer().await);
    let answer = path.ask(&[("k", "v"); 20]).await.answer().await;
    answer.is_ours(8, "mux: metadata too large", "metadata", "no");
}

#[tokio::test]
async fn a_handshake_has_as_long_as_the_option_says() {
    let mux = Mux::with(&["--handshake-timeout", "200ms"]).await;
    let start = Instant::now();
    for address in [mux.proxy, mux.multiplexer] {
        turned_away(&mut TcpStream::connect(address).await.unwrap()).await;
    }
    // Twice the default is 20 s.
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn newcomers_that_say_nothing_keep_nobody_out() {
    let backend = Backend::h2(async |mut call| call.ok(b"served").await).await;
    let options = ["--max-handshakes", "2", "--handshake-timeout", "10m"];
    let mux = Mux::with(&options).await;
    let mut silent = Vec::new();
    for address in [mux.multiplexer, mux.proxy] {
        for _ in 0..2 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
    }
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let caller = Caller::connect(mux.proxy).await;
    is_served(&caller.call("/s/m", &[ID], b"").await);
    // The first of each made room.
    turned_away(&mut silent[0]).await;
    turned_away(&mut silent[2]).await;
}

#[tokio::test]
async fn so_many_tunnels_and_the_next_edge_is_told_when_to_come_again() {
    let backend = Backend::h2(async |mut call| call.ok(b"served").await).await;
    let mux = Mux::with(&["--max-tunnels", "1"]).await;
    let mut first = Edge::start(&mux, "rainbow", backend.address).await;
    let address = backend.address.to_string();
    let second = Edge::dialling(mux.multiplexer, "second", &address, &[]);
    second.says("as many tunnels as it takes").await;
    let line = second.says("dialling again").await;
    let (_, after) = line.split_once("after=").unwrap();
    let seconds: f64 = after.trim_end_matches('s').parse().unwrap();
    assert!(seconds >= 5.0, "{line}");
    let caller = Caller::connect(mux.proxy).await;
    is_served(&caller.call("/s/m", &[ID], b"").await);
    first.kill().await;
    second.says(" connected ").await;
    is_served(&caller.call("/s/m", &[("client-id", "second")], b"").await);
}

#[tokio::test]
async fn the_process_has_so_many_calls_and_its_own_services_are_served_on() {
    let (backend, gate) = gated().await;
    let path = Path::with(&["--max-calls", "2"], &backend.address.to_string(), &[]).await;
    let first = path.ask(&[]).await;
    let second = path.ask(&[]).await;
    backend.calls(2).await;
    let refused = path.ask(&[]).await.answer().await;
    refused.is_ours(14, "mux: overloaded", "overload", "no");
    assert_eq!(path.mux.listed().await, ["rainbow"]);
    gate.add_permits(2);
    is_served(&first.answer().await);
    is_served(&second.answer().await);
    gate.add_permits(1);
    until("a call is taken again", async || {
        let answer = path.ask(&[]).await.answer().await;
        (answer.code() == Some(0)).then_some(())
    })
    .await;
}
