//! What `backend-mode` of an edge brings and costs: an upload to a backend with small windows behind a long line, and small
//! calls without any line.

use std::time::Duration;

use anyhow::Context as _;
use grpc_multiplexer_tests::isolated;

use super::line::{RATE, RTT, UP, stream};
use super::loopback::small_calls;
use crate::options::Options;
use crate::paths::Backend;
use crate::product::{EDGE, Mux};
use crate::programs::of_product;
use crate::relay::Relay;
use crate::results::{Measure, Results};

/// An upload over the line.
pub(crate) const NARROW: &str = "narrow-up";
/// Small calls.
pub(crate) const SMALL: &str = "mode-unary";
const MODES: [&str; 2] = ["splice", "terminate"];
/// What many libraries begin with.
const WINDOW: u32 = 65_535;
/// Of small calls, in each round.
const TIME: Duration = Duration::from_secs(2);

/// Runs both modes in turns.
pub(crate) async fn run(options: &Options, results: &mut Results) -> anyhow::Result<()> {
    let workloads = [NARROW, SMALL]
        .into_iter()
        .filter(|name| options.wants(name));
    let workloads: Vec<_> = workloads.collect();
    if workloads.is_empty() {
        return Ok(());
    }
    let (narrow, wide) = (Backend::narrow(WINDOW).await?, Backend::start().await?);
    let mux = Mux::plain(&[]).await?;
    let line = Relay::to(mux.multiplexer, RTT, RATE).await?;
    for round in 1..=options.few() {
        for workload in &workloads {
            eprintln!("bench: round {round} of {}: {workload}", options.few());
            for mode in MODES {
                let what = || format!("{workload} with {mode}");
                let (address, backend) = match *workload {
                    NARROW => (line.address, &narrow),
                    _ => (mux.multiplexer, &wide),
                };
                let id = format!("{workload}-{mode}-{round}");
                let mut edge = isolated(of_product(EDGE)?);
                edge.args(["--backend-mode", mode]);
                let edge = mux.edge_of(edge, address, &id, backend.address);
                let edge = edge.await.with_context(what)?;
                let parts = [
                    (Measure::ServerTime, mux.pid()),
                    (Measure::EdgeTime, edge.pid()),
                ];
                let mut path = backend.path(mode, mux.proxy, &parts);
                path.target.client_id = id;
                let sample = match *workload {
                    NARROW => stream(UP, &path).await,
                    _ => small_calls(&path, results, TIME).await,
                };
                results.add(workload, mode, sample.with_context(what)?);
            }
        }
    }
    Ok(())
}
