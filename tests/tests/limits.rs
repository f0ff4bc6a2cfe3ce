//! Every limit at its edge: what is within it passes, one more gets exactly one answer, and the next passes again once
//! one is over.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use grpc_multiplexer_tests::{Answer, Backend, Caller, Edge, Mux, Path};
use tokio::sync::Semaphore;

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
    let mut own = Box::pin(one.call("/s/one", &[ID], b""));
    // One place at a time comes free from here on.
    let mut rounds = 0;
    let served = async {
        loop {
            gate.add_permits(1);
            rounds += 1;
            backend.calls(4 + rounds).await;
            if backend.seen_call(3 + rounds).path == "/s/one" {
                return rounds;
            }
        }
    };
    let rounds = tokio::select! {
        answer = &mut own => panic!("{answer:?}"),
        () = async { while let Some(answer) = theirs.next().await { is_served(&answer) } } => unreachable!(),
        rounds = served => rounds,
    };
    // While its call was on its way to the server, some of theirs were served.
    assert!(rounds < THEIRS / 4, "{rounds} of their calls came first");
    gate.add_permits(THEIRS);
    is_served(&own.await);
    while let Some(answer) = theirs.next().await {
        is_served(&answer);
    }
}
