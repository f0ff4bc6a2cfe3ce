//! One call over a line of 50 ms and 100 MB/s, from its beginning: the tunnel, or for `direct` the connection, is new each
//! time.

use std::time::Duration;

use anyhow::Context as _;

use crate::backend::Down;
use crate::load::{Connection, Flow, down, up};
use crate::options::Options;
use crate::paths::{Backend, DIRECT, OURS, Path};
use crate::product::Mux;
use crate::relay::Relay;
use crate::results::{Measure, Results, Sample};

pub(crate) const DOWN: &str = "line-down";
pub(crate) const UP: &str = "line-up";

pub(super) const RTT: Duration = Duration::from_millis(50);
/// Bytes a second.
pub(super) const RATE: f64 = 100e6;
/// Until then windows may grow.
const COLD: Duration = Duration::from_secs(2);
const TIME: Duration = Duration::from_secs(5);
const MESSAGE: u32 = 64 * 1024;

/// What runs for these.
#[derive(Debug)]
pub(crate) struct Lines {
    backend: Backend,
    to_backend: Relay,
    mux: Mux,
    to_mux: Relay,
}

impl Lines {
    async fn start() -> anyhow::Result<Self> {
        let backend = Backend::start().await?;
        let mux = Mux::plain(&[]).await?;
        Ok(Self {
            to_backend: Relay::to(backend.address, RTT, RATE).await?,
            to_mux: Relay::to(mux.multiplexer, RTT, RATE).await?,
            backend,
            mux,
        })
    }

    async fn run(&self, workload: &str, name: &str, round: usize) -> anyhow::Result<Sample> {
        if name == DIRECT {
            let path = self.backend.path(name, self.to_backend.address, &[]);
            return stream(workload, &path).await;
        }
        let mut path = self.backend.path(name, self.mux.proxy, &[]);
        path.target.client_id = format!("{workload}-{round}");
        let (id, by) = (&path.target.client_id, self.to_mux.address);
        let _edge = self.mux.edge_by(by, id, self.backend.address).await?;
        stream(workload, &path).await
    }
}

pub(super) async fn stream(workload: &str, path: &Path) -> anyhow::Result<Sample> {
    let connection = Connection::to(&path.target).await?;
    let flow = if workload == DOWN {
        down(&connection, Down::for_time(MESSAGE, TIME)).await?
    } else {
        up(&connection, MESSAGE as usize, TIME).await?
    };
    Ok(filled(&flow))
}

/// Which part of the line was filled.
fn filled(flow: &Flow) -> Sample {
    let percent = |from, to| 100.0 * flow.rate(from, to) / RATE;
    Sample::from([
        (Measure::Cold, percent(Duration::ZERO, COLD)),
        (Measure::Line, percent(COLD, TIME)),
    ])
}

/// Runs both directions on both paths, in turns.
pub(crate) async fn run(options: &Options, results: &mut Results) -> anyhow::Result<()> {
    let workloads = [DOWN, UP].into_iter().filter(|name| options.wants(name));
    let workloads: Vec<_> = workloads.collect();
    if workloads.is_empty() {
        return Ok(());
    }
    let lines = Lines::start().await?;
    for round in 1..=options.few() {
        for workload in &workloads {
            eprintln!("bench: round {round} of {}: {workload}", options.few());
            for path in [DIRECT, OURS] {
                let what = || format!("{workload} on {path}");
                let sample = lines.run(workload, path, round).await.with_context(what)?;
                results.add(workload, path, sample);
            }
        }
    }
    Ok(())
}
