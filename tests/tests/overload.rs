//! Memory and descriptors run short: work is shed in order, what is under way goes on, and everything is well afterwards.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

use std::process::Command;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::pending;
use futures::stream::FuturesUnordered;
use grpc_multiplexer_tests::{Backend, Call, Caller, Edge, Mux, metric, page, until, within};
use h2::Reason;
use h2::server::Builder;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;

const ID: (&str, &str) = ("client-id", "rainbow");
const KIB: usize = 1024;

/// One that answers `/s/echo`, and sends more than anybody takes for anything else.
async fn flooding() -> Backend {
    let mut settings = Builder::new();
    settings
        .initial_connection_window_size(1 << 28)
        .max_concurrent_streams(1000)
        .data_frame_budget(1 << 40);
    Backend::h2_with(&settings, |mut call| async move {
        if call.request.uri().path() == "/s/echo" {
            return call.echo().await;
        }
        call.headers();
        call.data(&vec![0; 512 * KIB]).await;
        pending().await
    })
    .await
}

/// Calls whose caller does not read what comes.
async fn stalled(caller: &Caller, calls: usize) -> Vec<Call> {
    let mut all = Vec::new();
    for _ in 0..calls {
        all.push(caller.start("/s/flood", &[ID]).await);
    }
    all
}

#[tokio::test]
async fn memory_that_runs_short_costs_those_who_do_not_read_and_comes_back() {
    let mux = Mux::with(&["--memory-limit", "128MiB", "--log-level", "info"]).await;
    let backend = flooding().await;
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let caller = Caller::connect(mux.proxy).await;
    let mut innocent = caller.start("/s/echo", &[ID]).await;
    innocent.data(b"first", false).await;
    backend.calls(1).await;

    let greedy = Caller::connect(mux.proxy).await;
    let calls = stalled(&greedy, 600).await;
    mux.says("refusing new calls").await;
    mux.says("resetting calls that hold most").await;
    assert_eq!(
        metric(mux.admin, "memory_limit_bytes").await,
        f64::from(128 << 20)
    );
    // Ours are served on: where memory is short new callers may be turned away, but not those that are here.
    let health = caller
        .call("/grpc.health.v1.Health/Check", &[], &[0; 5])
        .await;
    assert_eq!(health.code(), Some(0), "{health:?}");
    // The others were refused, or are spared.
    let mut answers: FuturesUnordered<_> = calls.into_iter().map(Call::answer).collect();
    let mut reset = 0;
    while reset < 3 {
        let answer = answers.next().await.unwrap();
        match answer.reset {
            Some(reason) => {
                assert_eq!(reason, Reason::ENHANCE_YOUR_CALM);
                reset += 1;
            }
            None => answer.is_ours(14, "mux: overloaded", "overload", "no"),
        }
    }
    drop(answers);
    drop(greedy);

    mux.says("taking new calls").await;
    until("ready again", async || {
        (page(mux.admin, "/readyz").await.0 == 200).then_some(())
    })
    .await;
    innocent.data(b"second", true).await;
    let answer = innocent.answer().await;
    assert_eq!(answer.code(), Some(0), "{answer:?}");
    assert_eq!(answer.body, b"firstsecond");
    until("calls are taken again", async || {
        let answer = caller.call("/s/echo", &[ID], b"again").await;
        (answer.code() == Some(0)).then_some(())
    })
    .await;
}

/// Descriptors that `mux` has open.
fn open(mux: &Mux) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", mux.pid()))
        .unwrap()
        .count()
}

/// Time that `mux` was on a processor.
fn cpu_time(mux: &Mux) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", mux.pid())).unwrap();
    // Behind the name, which may hold anything: user and system time in hundredths of a second.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = fields.split(' ').skip(11).take(2);
    let ticks: u64 = ticks.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

async fn connect(to: std::net::SocketAddr, times: usize) -> Vec<TcpStream> {
    let mut sockets = Vec::new();
    for _ in 0..times {
        sockets.push(TcpStream::connect(to).await.unwrap());
    }
    sockets
}

/// The last of `sockets` are closed at once.
async fn last_is_closed(sockets: &mut [TcpStream]) {
    let last = sockets.last_mut().unwrap();
    let read = within("the end of a connection", last.read(&mut [0])).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

#[tokio::test]
async fn calls_that_wait_for_their_edge_are_shed_as_others_are() {
    let mux = Mux::with(&[
        "--memory-limit",
        "96MiB",
        "--reconnect-wait",
        "10m",
        "--log-level",
        "info",
    ])
    .await;
    let backend = flooding().await;
    let mut edge = Edge::start(&mux, "rainbow", backend.address).await;
    edge.kill().await;
    mux.says("edge disconnected").await;
    let caller = Caller::connect(mux.proxy).await;
    let mut calls = stalled(&caller, 600).await;
    for call in &mut calls {
        // One that was shed takes no more.
        call.try_data(&[0; 250 * KIB], false).await;
    }
    mux.says("resetting calls that hold most").await;
    let mut shed = 0;
    for call in calls {
        let answer = tokio::time::timeout(Duration::from_millis(100), call.answer()).await;
        // Those that hold little go on waiting.
        if let Ok(answer) = answer {
            answer.is_ours(14, "mux: overloaded", "overload", "no");
            shed += 1;
        }
        if shed == 3 {
            break;
        }
    }
    assert_eq!(shed, 3);
    assert!(backend.seen().is_empty());
}

#[tokio::test]
async fn callers_take_no_descriptor_that_an_edge_needs_and_nobody_takes_the_last() {
    const DESCRIPTORS: usize = 64;
    let mux = Mux::limited(DESCRIPTORS).await;
    let backend = flooding().await;
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let caller = Caller::connect(mux.proxy).await;
    caller.echoes(&[ID], b"before").await;
    let mut callers = connect(mux.proxy, 2 * DESCRIPTORS).await;
    last_is_closed(&mut callers).await;
    mux.says("callers turned away").await;
    let _other = Edge::start(&mux, "other", backend.address).await;
    let mut edges = connect(mux.multiplexer, 2 * DESCRIPTORS).await;
    last_is_closed(&mut edges).await;
    mux.says("edges turned away").await;
    caller.echoes(&[ID], b"meanwhile").await;
    assert!(open(&mux) < DESCRIPTORS, "{}", open(&mux));
    let failed = mux
        .log()
        .iter()
        .filter(|line| line.contains("cannot accept"))
        .count();
    assert_eq!(failed, 0, "{:?}", mux.log());
    drop((callers, edges));
    mux.lets_in().await;
}

/// Fewer descriptors than there were at the start: accepting fails, which must not be tried again at once.
#[tokio::test]
async fn running_out_of_descriptors_burns_nothing_and_is_got_over() {
    let mux = Mux::start().await;
    let backend = flooding().await;
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let caller = Caller::connect(mux.proxy).await;
    caller.echoes(&[ID], b"before").await;
    let limit = |descriptors: usize| {
        let limited = Command::new("prlimit")
            .args([
                format!("--pid={}", mux.pid()),
                format!("--nofile={descriptors}:"),
            ])
            .status();
        assert!(limited.unwrap().success());
    };
    let before = open(&mux);
    limit(before + 8);
    let (start, busy) = (Instant::now(), cpu_time(&mux));
    let sockets = [
        connect(mux.proxy, 16).await,
        connect(mux.multiplexer, 16).await,
    ];
    // 50 ms, then twice that and so on: both listeners are at the longest pause after a dozen lines.
    mux.says_times("pause=1s", 3).await;
    let failed = mux
        .log()
        .iter()
        .filter(|line| line.contains("cannot accept"))
        .count();
    assert!(failed < 40, "{failed} failed accepts");
    // Tried again at once, it takes a whole core.
    let (busy, all) = (cpu_time(&mux) - busy, start.elapsed());
    assert!(busy < all / 4, "{busy:?} of {all:?}");
    caller.echoes(&[ID], b"meanwhile").await;
    drop(sockets);
    Caller::connect(mux.proxy)
        .await
        .echoes(&[ID], b"after")
        .await;
}
