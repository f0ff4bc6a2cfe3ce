//! How often server and edge ask the system for something, for each small call.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;
use grpc_multiplexer_tests::{Folder, Process, isolated};

use crate::load::{Connection, message, one_after_the_other};
use crate::options::Options;
use crate::paths::{Backend, EDGE, OURS, Path};
use crate::product::Mux;
use crate::programs::found;
use crate::results::{Measure, Results, Sample};

/// Each with connections, and calls in flight on each.
pub(crate) const LOADS: [(&str, usize, usize); 2] =
    [("system-calls-1x1", 1, 1), ("system-calls-8x8", 8, 8)];
/// Long enough for thousands: whoever is watched is slow.
const TIME: Duration = Duration::from_secs(2);

/// Runs them where there is strace.
pub(crate) async fn run(options: &Options, results: &mut Results) -> anyhow::Result<()> {
    let loads = LOADS
        .into_iter()
        .filter(|(name, ..)| options.wants_long(name));
    let loads: Vec<_> = loads.collect();
    if loads.is_empty() {
        return Ok(());
    }
    if found("strace").is_none() {
        eprintln!("bench: no system calls: no strace; apt-get install strace");
        return Ok(());
    }
    let backend = Backend::start().await?;
    let mux = Mux::plain(&[]).await?;
    let edge = mux.edge(EDGE, backend.address).await?;
    let path = backend.path(OURS, mux.proxy, &[]);
    for (name, connections, in_flight) in loads {
        eprintln!("bench: {name}");
        let mut sample = Sample::new();
        for (measure, pid) in [(Measure::Rate, mux.pid()), (Measure::EdgeRate, edge.pid())] {
            let each = watched(pid, &path, connections, in_flight, results).await;
            sample.insert(measure, each.context(name)?);
        }
        results.add(name, OURS, sample);
    }
    Ok(())
}

async fn watched(
    pid: u32,
    path: &Path,
    connections: usize,
    in_flight: usize,
    results: &mut Results,
) -> anyhow::Result<f64> {
    let connections = Connection::many(&path.target, connections).await?;
    let folder = Folder::new("bench-strace");
    let summary = folder.put("summary", "");
    let mut command = isolated(found("strace").context("no strace")?);
    command.args(["-f", "-c", "-o", &summary, "-p", &pid.to_string()]);
    let mut strace = Process::of(command);
    strace.says("attached").await;
    let calls = one_after_the_other(&connections, in_flight, &message(&[b'x'; 32]), TIME).await;
    strace.signal("INT");
    strace.ended().await;
    let answered = calls.took.len() as f64;
    results.failures.and(calls.failures);
    let total = total(&fs::read_to_string(summary)?).context("no summary of strace's")?;
    Ok(total / answered)
}

/// How many there were in all. The columns are part of the time, seconds, microseconds each, how many, and how many failed.
fn total(summary: &str) -> Option<f64> {
    let line = summary.lines().find(|line| line.ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_of_strace_is_read() {
        let summary = "% time     seconds  usecs/call     calls    errors syscall\n\
                       ------ ----------- ----------- --------- --------- ----------------\n\
                        60.00    0.000060           1        42           read\n\
                       ------ ----------- ----------- --------- --------- ----------------\n\
                       100.00    0.000100           1        99         3 total\n";
        assert_eq!(total(summary), Some(99.0));
        assert_eq!(total(""), None);
    }
}
