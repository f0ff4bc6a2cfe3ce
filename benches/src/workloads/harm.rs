//! What one caller does to others of the same edge: it reads nothing for a while, or gives up what it asked for.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures::future::join_all;
use h2::Reason;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::backend::Down;
use crate::load::{Connection, Failures, begin, innocents, message, paused};
use crate::options::Options;
use crate::paths::{OURS, Path, World};
use crate::results::{Measure, Results, Sample};

pub(crate) const SLOW: &str = "slow-reader";
/// With how long a call lives, in microseconds.
pub(crate) const CANCELS: [(&str, u64); 3] = [
    ("cancels-0.1ms", 100),
    ("cancels-2ms", 2_000),
    ("cancels-20ms", 20_000),
];

/// What the slow reader is sent: each in a DATA frame of its own.
const STREAM: Down = Down {
    count: 200_000,
    size: 4,
    time: 0,
    apart: true,
};
/// How long it reads nothing.
const PAUSE: Duration = Duration::from_millis(2_500);
const PATIENCE: Duration = Duration::from_secs(60);

/// Calls that are given up, and how many are open at a time.
const CALLS: usize = 10_000;
const OPEN: usize = 150;
/// On one connection: a server ends one with more than 20 cancels of calls that it has not accepted yet, and so does ours.
const PER_CONNECTION: usize = 10;
/// Between two waves.
const WAVE: Duration = Duration::from_millis(20);
/// What the system's timers cannot do.
const SHORT: Duration = Duration::from_millis(1);

/// Whether any is wanted.
pub(crate) fn wanted(options: &Options) -> bool {
    let cancels = CANCELS.iter().map(|(name, _)| *name);
    cancels.chain([SLOW]).any(|name| options.wants(name))
}

/// Runs them on all paths. Only of ours a failed call is a failure of the run.
pub(crate) async fn run(
    world: &World,
    options: &Options,
    results: &mut Results,
) -> anyhow::Result<()> {
    for path in &world.paths {
        if options.wants(SLOW) {
            eprintln!("bench: {SLOW} on {}", path.name);
            let harm = innocents_beside(path, slow_reader(path)).await;
            note(SLOW, path, harm.context(SLOW)?, results);
        }
        for (name, after) in CANCELS.into_iter().filter(|(name, _)| options.wants(name)) {
            eprintln!("bench: {name} on {}", path.name);
            let storm = cancels(path, Duration::from_micros(after));
            let harm = innocents_beside(path, storm).await.context(name)?;
            note(name, path, harm, results);
        }
    }
    Ok(())
}

/// What became of the innocent, and of who was not.
#[derive(Debug)]
struct Harm {
    innocents: Failures,
    calls: usize,
    own: Failures,
}

fn note(workload: &str, path: &Path, harm: Harm, results: &mut Results) {
    let sample = Sample::from([
        (Measure::Innocents, harm.calls as f64),
        (Measure::Failed, harm.innocents.count() as f64),
        (Measure::OwnFailed, harm.own.count() as f64),
    ]);
    results.add(workload, &path.name, sample);
    for failures in [harm.innocents, harm.own] {
        if failures.count() > 0 {
            eprintln!("bench: {workload} on {}: {failures}", path.name);
        }
        if path.name.starts_with(OURS) {
            results.failures.and(failures);
        }
    }
}

async fn innocents_beside(
    path: &Path,
    harm: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<Harm> {
    let connection = Connection::to(&path.target).await?;
    let over = CancellationToken::new();
    let (innocents, done) = tokio::join!(innocents(&connection, &over), async {
        let done = timeout(PATIENCE, harm).await;
        // Harm may show only after.
        sleep(10 * WAVE).await;
        over.cancel();
        done
    });
    let mut own = Failures::default();
    if let Err(error) = done.context("it does not end").and_then(|done| done) {
        own.add(&error);
    }
    Ok(Harm {
        calls: innocents.took.len() + innocents.failures.count(),
        innocents: innocents.failures,
        own,
    })
}

async fn slow_reader(path: &Path) -> anyhow::Result<()> {
    let connection = Connection::to(&path.target).await?;
    let flow = paused(&connection, STREAM, PAUSE).await?;
    let messages = flow.total() / (u64::from(STREAM.size) + 5);
    ensure!(
        messages == u64::from(STREAM.count),
        "{messages} messages came"
    );
    Ok(())
}

async fn cancels(path: &Path, after: Duration) -> anyhow::Result<()> {
    let connections = Connection::many(&path.target, OPEN.div_ceil(PER_CONNECTION)).await?;
    for wave in 0..CALLS.div_ceil(OPEN) {
        let calls = OPEN.min(CALLS - wave * OPEN);
        let cancels = (0..calls).map(|n| cancel(&connections[n / PER_CONNECTION], after));
        let cancelled: Result<Vec<()>, _> = join_all(cancels).await.into_iter().collect();
        cancelled?;
        sleep(WAVE).await;
    }
    Ok(())
}

async fn cancel(connection: &Connection, after: Duration) -> anyhow::Result<()> {
    let (_response, mut stream) = begin(connection, "Hold", message(b"x")).await?;
    let start = Instant::now();
    if after > SHORT {
        sleep(after).await;
    }
    while start.elapsed() < after {
        yield_now().await;
    }
    stream.send_reset(Reason::CANCEL);
    Ok(())
}
