//! Calls that are open, and over which nothing goes: the memory of each.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use grpc_multiplexer_tests::{metric, until};
use tokio::time::sleep;

use crate::cost::resident;
use crate::load::{Connection, begin, end, message, one_after_the_other};
use crate::options::Options;
use crate::paths::{Backend, OURS};
use crate::product::Mux;
use crate::results::{Measure, Results, Sample};

pub(crate) const IN_FLIGHT: &str = "in-flight";
/// How many calls.
const CALLS: usize = 5_000;
const CONNECTIONS: usize = 10;
/// A tunnel takes 4,096 calls at a time.
const EDGES: [&str; 2] = ["edge-0", "edge-1"];
/// What a call needs only to begin is gone by then.
const SETTLED: Duration = Duration::from_secs(2);

/// Runs it.
pub(crate) async fn run(options: &Options, results: &mut Results) -> anyhow::Result<()> {
    if !options.wants_long(IN_FLIGHT) {
        return Ok(());
    }
    eprintln!("bench: {IN_FLIGHT}");
    let sample = in_flight(results).await.context(IN_FLIGHT)?;
    results.add(IN_FLIGHT, OURS, sample);
    Ok(())
}

async fn in_flight(results: &mut Results) -> anyhow::Result<Sample> {
    let backend = Backend::start().await?;
    let mux = Mux::plain(&[]).await?;
    let (mut edges, mut connections) = (Vec::new(), Vec::new());
    for id in EDGES {
        edges.push(mux.edge(id, backend.address).await?);
        let mut target = backend.path(OURS, mux.proxy, &[]).target;
        target.client_id = id.to_owned();
        connections.extend(Connection::many(&target, CONNECTIONS / EDGES.len()).await?);
    }
    let body = message(b"x");
    let warm = one_after_the_other(&connections, 1, &body, SETTLED).await;
    results.failures.and(warm.failures);
    let memory = || -> anyhow::Result<[u64; 2]> {
        let edges = edges.iter().map(|edge| resident(edge.pid()));
        Ok([resident(mux.pid())?, edges.sum::<anyhow::Result<u64>>()?])
    };
    let before = memory()?;
    let mut calls = Vec::new();
    for n in 0..CALLS {
        calls.push(begin(&connections[n % CONNECTIONS], "Hold", body.clone()).await?);
    }
    until("all calls are in flight", async || {
        let open = metric(mux.admin, "calls_in_flight").await as usize;
        (open >= CALLS).then_some(())
    })
    .await;
    sleep(SETTLED).await;
    let after = memory()?;
    for (response, mut stream) in calls {
        // Whatever is wrong with it, its answer says more.
        let _ = stream.send_data(Bytes::new(), true);
        if let Err(error) = end(response).await {
            results.failures.add(&error);
        }
    }
    let each = |n: usize| after[n].saturating_sub(before[n]) as f64 / 1024.0 / CALLS as f64;
    Ok(Sample::from([
        (Measure::Memory, each(0)),
        (Measure::EdgeMemory, each(1)),
    ]))
}
