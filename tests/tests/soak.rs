//! Many edges and many calls leave nothing behind.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::future::join_all;
use grpc_multiplexer_tests::{Caller, Edge, Mux, Process, until, within};
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

const EDGES: usize = 100;
const CALLS: usize = 100_000;
const IN_FLIGHT: usize = 64;
/// One call in so many is cancelled.
const CANCELLED: usize = 10;
/// The connections of callers; each makes its share of the calls in flight.
const CALLERS: usize = 4;

const ANSWERED: &str = "/soak.Service/Answered";
const CANCELLED_LATE: &str = "/soak.Service/CancelledLate";
const CANCELLED_EARLY: &str = "/soak.Service/CancelledEarly";

/// A backend that keeps nothing: the harness's own notes every byte.
async fn lean_backend() -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((socket, _)) = listener.accept().await {
            connections.spawn(serve(socket));
        }
    });
    (address, tasks)
}

async fn serve(socket: TcpStream) {
    socket.set_nodelay(true).unwrap();
    let Ok(mut connection) = h2::server::handshake(socket).await else {
        return;
    };
    let mut calls = JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        calls.spawn(answer(request, respond));
        while calls.try_join_next().is_some() {}
    }
}

/// Sends back what came. What is cancelled is answered with headers at most.
async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let path = request.uri().path().to_owned();
    let mut body = request.into_body();
    let mut response = Response::new(());
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", grpc);
    let mut stream = if path == CANCELLED_EARLY {
        None
    } else {
        respond.send_response(response, false).ok()
    };
    let mut received = Vec::new();
    while let Some(Ok(data)) = body.data().await {
        received.extend_from_slice(&data);
        let _ = body.flow_control().release_capacity(data.len());
    }
    // A caller that left is why there are cancelled calls.
    if let Some(stream) = stream.as_mut().filter(|_| path == ANSWERED) {
        let _ = stream.send_data(received.into(), false);
        let status = (
            http::HeaderName::from_static("grpc-status"),
            HeaderValue::from_static("0"),
        );
        let _ = stream.send_trailers(HeaderMap::from_iter([status]));
    }
}

/// A caller's connection without the harness's bookkeeping.
async fn connect(proxy: SocketAddr, tasks: &mut JoinSet<()>) -> SendRequest<Bytes> {
    let socket = TcpStream::connect(proxy).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let (send, connection) = h2::client::handshake(socket).await.unwrap();
    tasks.spawn(async move { connection.await.unwrap() });
    send
}

/// Makes call number `n`.
async fn call(caller: &SendRequest<Bytes>, n: usize) {
    let id = id(n % EDGES);
    let path = match n % (2 * CANCELLED) {
        0 => CANCELLED_LATE,
        CANCELLED => CANCELLED_EARLY,
        _ => ANSWERED,
    };
    let request = Caller::request(path, &[("client-id", &id)]);
    let mut caller = caller.clone().ready().await.unwrap();
    let (response, mut send) = caller.send_request(request, false).unwrap();
    // Different at every call, or a mix-up could not be seen.
    let message = Bytes::from(format!("call number {n} of {CALLS}"));
    if path == CANCELLED_EARLY {
        send.send_data(message, false).unwrap();
        send.send_reset(Reason::CANCEL);
        return;
    }
    let cancelled = path == CANCELLED_LATE;
    send.send_data(message.clone(), !cancelled).unwrap();
    let response = response.await.unwrap();
    assert_eq!(response.headers().get("grpc-status"), None, "{response:?}");
    if cancelled {
        send.send_reset(Reason::CANCEL);
        return;
    }
    let mut body = response.into_body();
    let mut received = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        received.extend_from_slice(&data);
        let _ = body.flow_control().release_capacity(data.len());
    }
    let trailers = body.trailers().await.unwrap().unwrap();
    assert_eq!(trailers["grpc-status"], "0", "{trailers:?}");
    assert_eq!(received, message);
}

fn id(n: usize) -> String {
    format!("edge-{n:03}")
}

/// Makes calls number `from` to `to`, so many at a time.
async fn calls(callers: &[SendRequest<Bytes>], from: usize, to: usize) {
    let next = Arc::new(AtomicUsize::new(from));
    let mut workers = JoinSet::new();
    for worker in 0..IN_FLIGHT {
        let (caller, next) = (callers[worker % callers.len()].clone(), Arc::clone(&next));
        workers.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= to {
                    return;
                }
                within("the end of a call", call(&caller, n)).await;
            }
        });
    }
    workers.join_all().await;
}

fn descriptors(process: &Process) -> usize {
    let folder = format!("/proc/{}/fd", process.pid());
    std::fs::read_dir(folder).unwrap().count()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_calls_over_a_hundred_edges_leave_nothing_behind() {
    let start = Instant::now();
    let mut mux = Mux::with(&["--log-level", "info"]).await;
    let (backend, _backend) = lean_backend().await;
    let backend = backend.to_string();
    let edges: Vec<_> = (0..EDGES)
        .map(|n| {
            let quiet = ["--log-level", "info"];
            Edge::dialling(mux.multiplexer, &id(n), &backend, &quiet)
        })
        .collect();
    join_all(edges.iter().map(|edge| edge.says(" connected "))).await;
    let mut connections = JoinSet::new();
    let mut callers = Vec::new();
    for _ in 0..CALLERS {
        callers.push(connect(mux.proxy, &mut connections).await);
    }
    let edge = &edges[0];
    let watched: [&Process; 2] = [&mux, edge];
    println!("{EDGES} edges up after {:?}", start.elapsed());

    // Warm: every lane is open, every buffer has its size.
    calls(&callers, 0, CALLS / 10).await;
    let before = watched.map(|process| (descriptors(process), process.resident()));
    println!("warm after {:?}: {before:?}", start.elapsed());
    calls(&callers, CALLS / 10, CALLS).await;
    println!("all calls made after {:?}", start.elapsed());
    for (process, (open, memory)) in watched.into_iter().zip(before) {
        until("descriptors to be as before", async || {
            (descriptors(process) <= open).then_some(())
        })
        .await;
        let now = process.resident();
        println!("{memory} KiB before, {now} KiB after");
        assert!(
            now <= memory + memory / 10,
            "{memory} KiB grew to {now} KiB"
        );
    }
    assert_eq!(mux.listed().await.len(), EDGES, "no tunnel was lost");
    let lost = |edge: &&Edge| edge.log().iter().any(|line| line.contains("tunnel lost"));
    assert_eq!(edges.iter().filter(lost).count(), 0);

    drop(callers);
    mux.signal("TERM");
    assert_eq!(mux.ended().await.code(), Some(0));
    let line = mux.says("stopped").await;
    assert!(line.contains("calls=0 streams=0 tunnels=0"), "{line}");
    println!("over after {:?}", start.elapsed());
}
