//! A tunnel is cut under load. Calls that were on it fail and say so; every other call succeeds, none runs twice, and
//! service is back soon after the fault is over.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use grpc_multiplexer_tests::{Answer, Backend, Caller, Edge, Link, Mux, Relay, until, within};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

const CALLERS: usize = 8;
/// Between two calls of one caller.
const PACE: Duration = Duration::from_millis(5);
/// What a backend takes for a call.
const WORK: Duration = Duration::from_millis(20);
/// What both ends take for dead.
const SILENCE: &[&str] = &["--tunnel-timeout", "2s"];

struct Bench {
    mux: Mux,
    edge: Edge,
    relay: Relay,
    backend: Backend,
    load: JoinSet<Vec<Made>>,
    stop: Arc<AtomicBool>,
}

/// A call, with a name that no other has.
struct Made {
    token: String,
    answer: Answer,
    ended: Instant,
}

impl Bench {
    /// An edge over a link, and callers that call it all the time.
    async fn start() -> Self {
        let backend = Backend::h2(|mut call| async move {
            call.read_all().await;
            // So that a cut meets calls that run.
            sleep(WORK).await;
            call.ok(b"theirs").await;
        })
        .await;
        // Calls may wait for as long as a fault lasts on a busy machine.
        let server = [SILENCE, &["--reconnect-wait", "25s", "--log-level", "info"]].concat();
        let mux = Mux::with(&server).await;
        let relay = Relay::to(mux.multiplexer).await;
        let address = backend.address.to_string();
        let edge = Edge::dialling(relay.address, "rainbow", &address, SILENCE);
        edge.says(" connected ").await;
        let stop = Arc::new(AtomicBool::new(false));
        let mut load = JoinSet::new();
        for n in 0..CALLERS {
            load.spawn(call_on(mux.proxy, n, Arc::clone(&stop)));
        }
        backend.calls(10 * CALLERS).await;
        Self {
            mux,
            edge,
            relay,
            backend,
            load,
            stop,
        }
    }

    /// Service is back: calls succeed that began after now. Then the load ends, and what became of it is held to the
    /// promise.
    async fn ends_well(self) {
        let over = Instant::now();
        let caller = Caller::connect(self.mux.proxy).await;
        until("a call that succeeds", async || {
            let answer = caller.call("/s/m", &[("client-id", "rainbow")], b"").await;
            (answer.code() == Some(0)).then_some(())
        })
        .await;
        let back = over.elapsed();
        assert!(back < Duration::from_secs(5 + 5), "{back:?}");
        self.stop.store(true, Ordering::Relaxed);
        let made = within("the end of all calls", self.load.join_all()).await;
        let made: Vec<_> = made.into_iter().flatten().collect();

        let mut runs: HashMap<String, usize> = HashMap::new();
        for seen in self.backend.seen() {
            if let Some(token) = seen.headers.get("token") {
                *runs.entry(token.to_str().unwrap().to_owned()).or_default() += 1;
            }
        }
        let lost = "mux: tunnel to edge 'rainbow' lost";
        let mut failed = 0;
        for call in &made {
            let times = runs.get(&call.token).copied().unwrap_or_default();
            if call.answer.code() == Some(0) {
                assert_eq!(times, 1, "{} succeeded", call.token);
            } else {
                call.answer.is_ours(14, lost, "tunnel-lost", "maybe");
                assert!(times <= 1, "{} ran {times} times", call.token);
                failed += 1;
            }
        }
        // Each caller had one call at a time on the tunnel.
        assert!(failed <= CALLERS, "{failed} of {}", made.len());
        let last_failure = made
            .iter()
            .filter(|call| call.answer.code() != Some(0))
            .map(|call| call.ended)
            .max();
        assert!(last_failure.is_none_or(|at| at < over + Duration::from_secs(10)));
        eprintln!(
            "{failed} of {} calls failed; back after {back:?}",
            made.len()
        );
    }
}

async fn call_on(proxy: std::net::SocketAddr, n: usize, stop: Arc<AtomicBool>) -> Vec<Made> {
    let caller = Caller::connect(proxy).await;
    let mut made = Vec::new();
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !stop.load(Ordering::Relaxed) {
        pace.tick().await;
        let token = format!("{n}-{}", made.len());
        let metadata = [("client-id", "rainbow"), ("token", token.as_str())];
        let answer = caller.call("/s/m", &metadata, b"x").await;
        made.push(Made {
            token,
            answer,
            ended: Instant::now(),
        });
    }
    made
}

#[tokio::test]
async fn a_tunnel_that_is_reset_costs_the_calls_on_it() {
    let bench = Bench::start().await;
    bench.relay.cut();
    bench.edge.says("tunnel lost").await;
    bench.ends_well().await;
}

#[tokio::test]
async fn a_link_that_goes_dark_costs_the_calls_on_it() {
    let bench = Bench::start().await;
    bench.relay.set(Link::Held);
    bench.mux.says("edge disconnected").await;
    bench.edge.says("tunnel lost").await;
    bench.relay.set(Link::Open);
    bench.ends_well().await;
}

#[tokio::test]
async fn a_link_that_goes_dark_one_way_costs_the_calls_on_it() {
    let bench = Bench::start().await;
    bench.relay.set_back(Link::Held);
    bench.mux.says("edge disconnected").await;
    bench.relay.set(Link::Open);
    bench.ends_well().await;
}

#[tokio::test]
async fn an_edge_that_is_stopped_for_long_costs_the_calls_on_its_tunnel() {
    let bench = Bench::start().await;
    bench.edge.signal("STOP");
    bench.mux.says("edge disconnected").await;
    bench.edge.signal("CONT");
    bench.ends_well().await;
}

#[tokio::test]
async fn a_killed_edge_costs_the_calls_on_its_tunnel() {
    let mut bench = Bench::start().await;
    bench.edge.kill().await;
    bench.mux.says("edge disconnected").await;
    let address = bench.backend.address.to_string();
    bench.edge = Edge::dialling(bench.relay.address, "rainbow", &address, SILENCE);
    bench.ends_well().await;
}
