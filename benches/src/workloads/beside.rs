//! Small calls over a line of 10 ms and 50 MB/s, alone and beside one that fills it, to the same edge.

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::timeout;

use crate::backend::Down;
use crate::load::{Calls, Connection, at_rate, down, message};
use crate::options::Options;
use crate::paths::{Backend, DIRECT, EDGE, OURS, Path};
use crate::product::Mux;
use crate::relay::Relay;
use crate::results::{Measure, Results, Sample, time};

pub(crate) const BESIDE: &str = "beside-bulk";

const RTT: Duration = Duration::from_millis(10);
/// Bytes a second.
const RATE: f64 = 50e6;
/// Small calls a second.
const CALLS: f64 = 100.0;
const ALONE: Duration = Duration::from_secs(2);
/// The bulk has so long until small calls begin.
const WARM: Duration = Duration::from_secs(2);
const TIME: Duration = Duration::from_secs(4);
/// After the bulk was to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs both paths in turns.
pub(crate) async fn run(options: &Options, results: &mut Results) -> anyhow::Result<()> {
    if !options.wants(BESIDE) {
        return Ok(());
    }
    let backend = Backend::start().await?;
    let mux = Mux::plain(&[]).await?;
    let to_backend = Relay::to(backend.address, RTT, RATE).await?;
    let to_mux = Relay::to(mux.multiplexer, RTT, RATE).await?;
    let _edge = mux.edge_by(to_mux.address, EDGE, backend.address).await?;
    let paths = [(DIRECT, to_backend.address), (OURS, mux.proxy)];
    let paths = paths.map(|(name, address)| backend.path(name, address, &[]));
    for round in 1..=options.few() {
        eprintln!("bench: round {round} of {}: {BESIDE}", options.few());
        for path in &paths {
            let what = || format!("{BESIDE} on {}", path.name);
            let sample = both(path, results).await.with_context(what)?;
            results.add(BESIDE, &path.name, sample);
        }
    }
    Ok(())
}

async fn both(path: &Path, results: &mut Results) -> anyhow::Result<Sample> {
    let small = [Connection::to(&path.target).await?];
    let bulk = Connection::to(&path.target).await?;
    let body = message(&[b'x'; 32]);
    let mut alone = at_rate(&small, CALLS, &body, ALONE).await;
    let what = Down::for_time(64 * 1024, WARM + TIME);
    let (flow, beside) = tokio::join!(timeout(WARM + TIME + PATIENCE, down(&bulk, what)), async {
        tokio::time::sleep(WARM).await;
        at_rate(&small, CALLS, &body, TIME).await
    });
    let line = 100.0
        * flow
            .context("the bulk stands still")??
            .rate(WARM, WARM + TIME)
        / RATE;
    let mut beside: Calls = beside;
    let (one, other) = (time(&mut alone, 0.5), time(&mut beside, 0.5));
    results.failures.and(alone.failures);
    results.failures.and(beside.failures);
    Ok(Sample::from([
        (Measure::Alone, one),
        (Measure::Beside, other),
        (Measure::Times, other / one),
        (Measure::Line, line),
    ]))
}
