//! What processes cost, as Linux counts.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;

use crate::paths::Path;
use crate::results::{Measure, Sample};

/// Time on a processor, of all threads of a process and of its children. A thread that ends takes its time with it.
pub(crate) fn processor_time(pid: u32) -> Duration {
    let children = children(pid).into_iter().map(processor_time);
    own_time(pid) + children.sum::<Duration>()
}

/// The same without children.
fn own_time(pid: u32) -> Duration {
    let of_threads = threads(pid).into_iter().filter_map(|thread| {
        let schedstat = fs::read_to_string(format!("{thread}/schedstat")).ok()?;
        on_processor(&schedstat)
    });
    of_threads.sum()
}

/// Memory of a process and of its children, in bytes.
pub(crate) fn resident(pid: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let own = kilobytes(&status).context("no VmRSS in it")? * 1024;
    let children: Result<Vec<_>, _> = children(pid).into_iter().map(resident).collect();
    Ok(own + children?.iter().sum::<u64>())
}

pub(crate) fn children(pid: u32) -> Vec<u32> {
    let of_threads = threads(pid).into_iter();
    let texts =
        of_threads.filter_map(|thread| fs::read_to_string(format!("{thread}/children")).ok());
    let pids = |text: String| -> Vec<u32> {
        text.split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect()
    };
    texts.flat_map(pids).collect()
}

fn threads(pid: u32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten();
    let paths = entries
        .flatten()
        .map(|entry| entry.path().display().to_string());
    paths.collect()
}

/// The first number is nanoseconds. *Source:* Linux, Documentation/scheduler/sched-stats.rst.
fn on_processor(schedstat: &str) -> Option<Duration> {
    let nanoseconds = schedstat.split_whitespace().next()?;
    Some(Duration::from_nanos(nanoseconds.parse().ok()?))
}

fn kilobytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What the processes of a path, and the load, have used until some moment.
#[derive(Debug)]
pub(crate) struct Meter {
    parts: Vec<(Measure, u32, Duration)>,
    load: Duration,
}

impl Meter {
    pub(crate) fn start(path: &Path) -> Self {
        let parts = path.parts.iter();
        Self {
            parts: parts
                .map(|(measure, pid)| (*measure, *pid, processor_time(*pid)))
                .collect(),
            load: own_time(std::process::id()),
        }
    }

    /// Adds what they have used since then, in microseconds for each of so many calls or megabytes. What has several
    /// processes is their sum.
    pub(crate) fn stop(self, sample: &mut Sample, units: f64) {
        let each = |used: Duration| used.as_secs_f64() * 1e6 / units;
        let load = own_time(std::process::id()) - self.load;
        sample.insert(Measure::LoadTime, each(load));
        for (measure, pid, before) in self.parts {
            let used = each(processor_time(pid).saturating_sub(before));
            *sample.entry(measure).or_default() += used;
            if measure.is_between() {
                *sample.entry(Measure::Between).or_default() += used;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_linux_are_read() {
        assert_eq!(
            on_processor("1500 20 3\n"),
            Some(Duration::from_nanos(1500))
        );
        assert_eq!(on_processor(""), None);
        assert_eq!(kilobytes("VmPeak:  9 kB\nVmRSS:\t  12 kB\n"), Some(12));
    }

    #[test]
    fn this_process_costs_something() {
        let own = std::process::id();
        assert!(processor_time(own) > Duration::ZERO);
        assert!(resident(own).expect("it runs") > 100_000);
    }
}
