//! Edges that nobody calls: how long it takes until all are there when they dial at once, and what they cost then.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use grpc_multiplexer_tests::{Process, isolated, metric};
use tokio::time::{Instant, sleep};

use crate::cost::{processor_time, resident};
use crate::options::Options;
use crate::paths::{OURS, OURS_TLS};
use crate::product::Mux;
use crate::programs;
use crate::results::{Measure, Results, Sample};

/// How many there are.
pub(crate) const COUNTS: [(&str, usize); 3] = [
    ("idle-1000", 1_000),
    ("idle-5000", 5_000),
    ("idle-10000", 10_000),
];

/// All must be there.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks. Each is a page that the server writes, with a line of work for each edge.
const LOOK: Duration = Duration::from_millis(100);
/// What a handshake leaves behind is gone by then.
const SETTLED: Duration = Duration::from_secs(3);
/// How long they are watched.
const TIME: Duration = Duration::from_secs(10);

/// Runs each number with and without TLS, in processes of their own.
pub(crate) async fn run(options: &Options, results: &mut Results) -> anyhow::Result<()> {
    for (name, count) in COUNTS
        .into_iter()
        .filter(|(name, _)| options.wants_long(name))
    {
        for path in [OURS, OURS_TLS] {
            eprintln!("bench: {name} on {path}");
            let sample = idle(count, path == OURS_TLS).await;
            let sample = sample.with_context(|| format!("{name} on {path}"))?;
            results.add(name, path, sample);
        }
    }
    Ok(())
}

async fn idle(count: usize, tls: bool) -> anyhow::Result<Sample> {
    let tunnels = count.to_string();
    let options = ["--max-tunnels", &tunnels];
    let mux = if tls {
        Mux::tls(&options).await?
    } else {
        Mux::plain(&options).await?
    };
    let before = resident(mux.pid())?;
    let mut command = isolated(programs::own()?);
    command.args(["edges", &mux.multiplexer.to_string(), &tunnels]);
    command.args(mux.ca());
    let edges = Process::of(command);
    edges.says("dialling").await;
    let start = Instant::now();
    while up(&mux).await < count {
        let up = up(&mux).await;
        ensure!(start.elapsed() < PATIENCE, "only {up} of {count} came");
        sleep(LOOK).await;
    }
    let all = start.elapsed();
    sleep(SETTLED).await;
    let of_all = resident(mux.pid())?.saturating_sub(before);
    let time = processor_time(mux.pid());
    sleep(TIME).await;
    let used = processor_time(mux.pid()) - time;
    let lost = count - up(&mux).await;
    let kib = of_all as f64 / 1024.0 / count as f64;
    Ok(Sample::from([
        (Measure::Seconds, all.as_secs_f64()),
        (Measure::Lost, lost as f64),
        (Measure::Memory, kib),
        (
            Measure::Idle,
            100.0 * used.as_secs_f64() / TIME.as_secs_f64(),
        ),
    ]))
}

async fn up(mux: &Mux) -> usize {
    metric(mux.admin, "tunnels").await as usize
}
