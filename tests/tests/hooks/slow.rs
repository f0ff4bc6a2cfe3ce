//! A hook that takes its time with one edge, or one caller.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use grpc_multiplexer_client::{Backend, Edge, EdgeEnd};
use grpc_multiplexer_tests::{Caller, metric, until, within};
use http::Response;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;

use crate::callers::for_callers;
use crate::hook::Hook;
use crate::{edge, server, yes};

/// Edges beside the one, and callers of each.
const EDGES: usize = 100;
/// What anything of theirs may take on a busy machine; a hook's whole time is several of it.
const BOUND: Duration = Duration::from_secs(2);
/// Callers, and calls of each.
const CALLERS: usize = 100;
const CALLS: usize = 20;
/// Questions about one caller, which is many.
const SLOW: usize = 100;
/// Between two calls of one caller.
const PACE: Duration = Duration::from_millis(100);

/// An edge in this process, whose backend answers every call.
async fn others(multiplexer: SocketAddr, id: String, stop: CancellationToken) -> EdgeEnd {
    let (backend, mut incoming) = Backend::in_process();
    let edge = Edge::new(id.parse().unwrap(), backend, multiplexer.into());
    let serve = async {
        let mut connections = JoinSet::new();
        while let Some(Ok(stream)) = incoming.next().await {
            connections.spawn(async {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    let mut answer = Response::new(());
                    let headers = answer.headers_mut();
                    headers.insert("grpc-status", "0".parse().unwrap());
                    let _ = respond.send_response(answer, true);
                }
            });
        }
        std::future::pending().await
    };
    tokio::select! {
        ended = edge.run(stop) => ended,
        never = serve => never,
    }
}

#[tokio::test]
async fn a_slow_hook_delays_only_the_edge_that_it_decides_on() {
    let hook = Hook::start(|edge| (edge.client_id != "slow").then(|| Ok(yes()))).await;
    let mux = server(hook.address, &["--hooks-timeout=8s", "--log-level", "info"]).await;
    // One that knows which server it dials waits for it.
    let slow = edge(&mux, "slow", &["--tunnel-protocol=1"]);
    let asked = hook.asked_times(1).await;
    assert_eq!(asked[0].client_id, "slow");
    let began = Instant::now();
    let stop = CancellationToken::new();
    let mut edges = JoinSet::new();
    for number in 0..EDGES {
        let id = format!("edge-{number}");
        edges.spawn(others(mux.multiplexer, id, stop.clone()));
    }
    until("all others are connected", async || {
        (mux.listed().await.len() == EDGES).then_some(())
    })
    .await;
    let mut callers = JoinSet::new();
    let stopped = Arc::new(CancellationToken::new());
    for number in 0..EDGES {
        let (proxy, stopped) = (mux.proxy, Arc::clone(&stopped));
        callers.spawn(async move {
            let caller = Caller::connect(proxy).await;
            let id = format!("edge-{number}");
            let mut longest = Duration::ZERO;
            let mut pace = interval(PACE);
            // At least one each, and as long as the slow one is decided on.
            loop {
                let made = Instant::now();
                let answer = caller.call("/s/m", &[("client-id", &*id)], b"").await;
                assert_eq!(answer.code(), Some(0), "{answer:?}");
                longest = longest.max(made.elapsed());
                if stopped.is_cancelled() {
                    return longest;
                }
                pace.tick().await;
            }
        });
    }
    let said = slow.says("no tunnel").await;
    assert!(said.contains("the server's hook does not say"), "{said}");
    assert!(
        began.elapsed() >= Duration::from_secs(7),
        "{:?}",
        began.elapsed()
    );
    stopped.cancel();
    let mut longest = within("all callers", callers.join_all()).await;
    longest.sort();
    let p99 = longest[EDGES * 99 / 100 - 1];
    assert!(p99 < BOUND, "{longest:?}");
    assert_eq!(mux.listed().await.len(), EDGES);
}

/// It has no seat among those who are not known yet.
#[tokio::test]
async fn an_edge_that_waits_for_the_hook_keeps_no_newcomer_out_and_is_not_put_out() {
    const WAITING: usize = 8;
    let hook = Hook::saying(yes()).await;
    hook.holds(true);
    let options = ["--hooks-timeout=8s", "--max-handshakes=2"];
    let mux = server(hook.address, &options).await;
    let protocol = ["--tunnel-protocol=1"];
    let edges: Vec<_> = (0..WAITING)
        .map(|number| edge(&mux, &format!("edge-{number}"), &protocol))
        .collect();
    let asked = hook.asked_times(WAITING).await;
    hook.holds(false);
    for edge in &edges {
        edge.says(" connected ").await;
    }
    assert_eq!(asked.len(), WAITING);
    let put_out = r#"turned_away_total{listener="multiplexer",reason="silent"}"#;
    assert_eq!(metric(mux.admin, put_out).await, 0.0);
}

/// What all but one in a hundred calls of many callers take at most, each caller at its pace.
async fn p99(proxy: SocketAddr) -> Duration {
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        callers.spawn(async move {
            let caller = Caller::connect(proxy).await;
            let mut pace = interval(PACE);
            let mut took = Vec::new();
            for _ in 0..CALLS {
                pace.tick().await;
                let made = Instant::now();
                let answer = caller.call("/s/m", &[("client-id", "rainbow")], b"").await;
                assert_eq!(answer.code(), Some(0), "{answer:?}");
                took.push(made.elapsed());
            }
            took
        });
    }
    let mut took = within("all callers", callers.join_all()).await.concat();
    took.sort();
    took[CALLERS * CALLS * 99 / 100 - 1]
}

/// As long as without those questions, give or take what a busy machine does.
#[tokio::test]
async fn a_slow_hook_delays_only_the_caller_that_it_decides_on() {
    let hook = Hook::of_callers_in_time(async |caller| {
        if caller.method == "/slow/m" {
            pending::<()>().await;
        }
        Ok(yes())
    })
    .await;
    let (mux, _backend, _edge) = for_callers(&hook, &["--hooks-timeout=8s"]).await;
    let alone = p99(mux.proxy).await;
    let slow = Caller::connect(mux.proxy).await;
    let mut waiting = Vec::new();
    for number in 0..SLOW {
        // One that shows the same would wait for the answer to the one before.
        let shown = format!("Bearer {number}");
        let metadata = [("client-id", "rainbow"), ("authorization", &*shown)];
        waiting.push(slow.start("/slow/m", &metadata).await);
    }
    hook.callers_times(CALLERS * CALLS + SLOW).await;
    let beside = p99(mux.proxy).await;
    assert!(metric(mux.admin, "calls_in_flight").await >= SLOW as f64);
    assert!(beside < alone + BOUND, "{beside:?} and {alone:?}");
}
