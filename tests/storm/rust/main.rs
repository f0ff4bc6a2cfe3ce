//! `storm EDGES [--idle SECONDS]`: so many edges lose their server at once, while others' callers call. Prints what it measures; fails
//! when not all edges are back within 30 s, when one cannot be called, or when a call failed that had nothing to do with
//! what was lost.
//!
//! The edges are in one process, their server is A. Twice all of them come at once: when A is killed and started again,
//! and when their own process is. Callers of edges of server B see what that costs the machine, callers of other edges
//! of A what it costs A. With `--idle` nothing happens to them for so long, and what they cost then is judged.

#![allow(
    clippy::unwrap_used,
    reason = "a load that meets what it did not expect is over"
)]

mod callers;
mod edges;
mod parts;

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use futures::{TryStreamExt as _, stream};
use grpc_multiplexer_tests::{Mux, Process, metric};
use tokio::time::{Instant, sleep};

use crate::callers::{CALLERS, Caller, Callers, Seen};
use crate::parts::{Comeback, comeback, gone, processor_time, server};

/// All must be back.
const WITHIN: Duration = Duration::from_secs(30);
/// What callers of other edges may wait at the 99th percentile. On a machine of two cores, which all of this shares, it
/// is far above what it is in peace.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long callers call in peace, to compare with.
const QUIET: Duration = Duration::from_secs(10);
/// One edge in so many is called after each storm.
const SAMPLE: usize = 10;

/// What idle edges may take of one processor, at their server.
const IDLE: f64 = 0.05;

/// What A says of an edge that took it for a server of the original's: its hello was not answered in time.
const LEGACY: &str = "software=legacy";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        [count] => Storm::start(count.parse()?).await?.run().await,
        [count, "--idle", seconds] => {
            let storm = Storm::start(count.parse()?).await?;
            storm.idle(Duration::from_secs(seconds.parse()?)).await
        }
        ["edges", server, name, count] => edges::run(server, name, count.parse()?).await,
        _ => bail!("usage: storm EDGES [--idle SECONDS]"),
    }
}

/// All that runs, and what was found wrong so far.
struct Storm {
    count: usize,
    a: Mux,
    b: Mux,
    edges: Process,
    /// The other edges of both servers.
    _others: [Process; 2],
    wrong: Vec<String>,
}

#[expect(clippy::print_stdout, reason = "the result")]
impl Storm {
    async fn start(count: usize) -> anyhow::Result<Self> {
        let a = server("127.0.0.1:0", "127.0.0.1:0", count + CALLERS).await?;
        let b = server("127.0.0.1:0", "127.0.0.1:0", CALLERS).await?;
        let others = [&a, &b].map(|server| parts::edges(server.multiplexer, "other", CALLERS));
        let [of_a, of_b] = others;
        for server in [&a, &b] {
            comeback(server, CALLERS, Instant::now()).await?;
        }
        let before = a.resident();
        let start = Instant::now();
        let edges = parts::edges(a.multiplexer, "edge", count)?;
        let all = comeback(&a, count + CALLERS, start).await?;
        let per_edge = |resident: u64| resident as f64 / count as f64;
        println!("{count} edges are up for the first time {}", said(&all));
        println!(
            "     A has {} MB, {:.1} KB per edge; the edges {:.1} KB each",
            a.resident() / 1024,
            per_edge(a.resident() - before),
            per_edge(edges.resident())
        );
        Ok(Self {
            count,
            a,
            b,
            edges,
            _others: [of_a?, of_b?],
            wrong: Vec::new(),
        })
    }

    async fn run(mut self) -> anyhow::Result<()> {
        self.called().await?;
        self.server_dies().await?;
        self.edges_die().await?;
        ensure!(self.wrong.is_empty(), "{}", self.wrong.join("; "));
        println!("all came back");
        Ok(())
    }

    /// Nobody calls.
    async fn idle(self, time: Duration) -> anyhow::Result<()> {
        let before = processor_time(&self.a)?;
        let resident = self.a.resident();
        sleep(time).await;
        let took = processor_time(&self.a)? - before;
        let part = took.as_secs_f64() / time.as_secs_f64();
        let up = metric(self.a.admin, "tunnels").await as usize;
        println!(
            "{up} tunnels are up after {time:.0?}; A took {:.1} % of a processor, and has {} MB, of {} MB before",
            part * 100.0,
            self.a.resident() / 1024,
            resident / 1024
        );
        ensure!(up == self.count + CALLERS, "tunnels were lost");
        ensure!(part < IDLE, "idle edges take too much of a processor");
        Ok(())
    }

    /// A is killed and started again where it was.
    async fn server_dies(&mut self) -> anyhow::Result<()> {
        let of_b = Callers::start(self.b.proxy, "other")?;
        let of_edges = Callers::start(self.a.proxy, "edge")?;
        let (quiet_b, quiet) = quiet(&of_b, &of_edges).await;
        let (proxy, multiplexer) = (self.a.proxy.to_string(), self.a.multiplexer.to_string());
        let edges_before = processor_time(&self.edges)?;
        let start = Instant::now();
        self.a.kill().await;
        self.a = server(&proxy, &multiplexer, self.count + CALLERS).await?;
        let down = start.elapsed();
        let all = comeback(&self.a, self.count + CALLERS, start).await?;
        let edges_took = processor_time(&self.edges)? - edges_before;
        println!(
            "A was killed, and took tunnels again after {down:.1?}: all are back {}",
            said(&all)
        );
        self.judge("the server's death", &all);
        self.say_costs(edges_took).await?;
        self.compare("callers of B", &quiet_b, &of_b.so_far());
        println!("     callers of the edges, quiet: {quiet}");
        // Back is an edge that answers.
        sleep(QUIET / 10).await;
        println!("     callers of the edges, storm: {}", of_edges.so_far());
        self.called().await
    }

    /// The process of the edges is, while A and its other edges go on.
    async fn edges_die(&mut self) -> anyhow::Result<()> {
        let of_b = Callers::start(self.b.proxy, "other")?;
        let of_a = Callers::start(self.a.proxy, "other")?;
        let (quiet_b, quiet_a) = quiet(&of_b, &of_a).await;
        self.edges.kill().await;
        gone(&self.a, CALLERS).await?;
        println!("The edges were killed");
        self.compare("callers of B", &quiet_b, &of_b.so_far());
        self.compare("callers of A's other edges", &quiet_a, &of_a.so_far());
        let start = Instant::now();
        self.edges = parts::edges(self.a.multiplexer, "edge", self.count)?;
        let all = comeback(&self.a, self.count + CALLERS, start).await?;
        println!("and started again: all are back {}", said(&all));
        self.judge("their own death", &all);
        self.say_costs(processor_time(&self.edges)?).await?;
        self.compare("callers of B", &quiet_b, &of_b.so_far());
        self.compare("callers of A's other edges", &quiet_a, &of_a.so_far());
        self.called().await
    }

    fn judge(&mut self, what: &str, all: &Comeback) {
        if all.all > WITHIN {
            self.wrong
                .push(format!("not all came back within {WITHIN:?} of {what}"));
        }
    }

    async fn say_costs(&self, edges_took: Duration) -> anyhow::Result<()> {
        let handshakes = async |result: &str| {
            let series = format!("handshakes_total{{result=\"{result}\"}}");
            metric(self.a.admin, &series).await
        };
        let silent = "turned_away_total{listener=\"multiplexer\",reason=\"silent\"}";
        println!(
            "     handshakes since A started: {} welcome, {} refused, {} failed, {} lost their seat",
            handshakes("welcome").await,
            handshakes("refused").await,
            handshakes("failed").await,
            metric(self.a.admin, silent).await,
        );
        let log = self.a.log();
        let legacy = |line: &&String| line.contains(LEGACY);
        println!(
            "     {} of the tunnels are on the original's wire",
            log.iter().filter(legacy).count()
        );
        println!(
            "     processor time: A {:.1?} since it started, the edges {edges_took:.1?}; A has {} MB",
            processor_time(&self.a)?,
            self.a.resident() / 1024
        );
        Ok(())
    }

    /// The callers of what was not lost: none may fail. How much longer they waited is the machine's business too.
    fn compare(&mut self, who: &str, quiet: &Seen, storm: &Seen) {
        let times = storm.p99().as_secs_f64() / quiet.p99().as_secs_f64();
        println!("     {who}, quiet: {quiet}");
        println!("     {who}, storm: {storm}; p99 is {times:.1} times that of quiet");
        if quiet.failed() + storm.failed() > 0 {
            self.wrong.push(format!("calls of {who} failed"));
        }
        if storm.p99() > PATIENCE {
            self.wrong
                .push(format!("{who} waited more than {PATIENCE:?}"));
        }
    }

    /// Calls some of the edges.
    async fn called(&self) -> anyhow::Result<()> {
        let caller = Caller::new(self.a.proxy)?;
        let start = Instant::now();
        let ids = (0..self.count).step_by(SAMPLE);
        stream::iter(ids.map(Ok))
            .try_for_each_concurrent(100, async |n| call(&caller, n).await)
            .await?;
        println!(
            "     every {SAMPLE}th was called, in {:.1?}",
            start.elapsed()
        );
        Ok(())
    }
}

async fn call(caller: &Caller, n: usize) -> anyhow::Result<()> {
    let id = format!("edge-{n}");
    let answer = caller.clone().call(&id).await;
    answer.with_context(|| format!("{id} cannot be called"))
}

/// What callers see in peace.
async fn quiet(some: &Callers, others: &Callers) -> (Seen, Seen) {
    // Connections, lanes and the backends' are opened first.
    sleep(QUIET / 10).await;
    drop((some.so_far(), others.so_far()));
    sleep(QUIET).await;
    (some.so_far(), others.so_far())
}

fn said(all: &Comeback) -> String {
    let Comeback { half, most, all } = all;
    format!("after {all:.1?} (half after {half:.1?}, 99 % after {most:.1?})")
}
