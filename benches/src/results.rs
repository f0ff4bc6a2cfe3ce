//! What was measured.

use std::collections::BTreeMap;

use crate::load::{Calls, Failures};
use crate::stats::{median, percentile, ratio};

/// What a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measure {
    /// Calls, messages or MB a second, or system calls for each call.
    Rate,
    /// Milliseconds.
    P50,
    P99,
    /// Microseconds on a processor for each call or MB, of the load and of the backend, which every path has.
    LoadTime,
    BackendTime,
    /// The same of what stands between them.
    ServerTime,
    EdgeTime,
    PeerTime,
    /// Of all that stands between.
    Between,
    /// How much of a line was filled, in percent: in the first two seconds, and after them.
    Cold,
    Line,
    /// Milliseconds of small calls alone, and beside a bulk; and how many times as many.
    Alone,
    Beside,
    Times,
    /// Calls of the innocent, how many of them failed, and calls of who was not.
    Innocents,
    Failed,
    OwnFailed,
    /// Until all edges were there, and how many were lost.
    Seconds,
    Lost,
    /// KiB for each edge or call.
    Memory,
    EdgeMemory,
    /// Percent of a processor.
    Idle,
    /// System calls of the edge for each call; [`Rate`](Self::Rate) has those of the server.
    EdgeRate,
}

impl Measure {
    pub(crate) fn is_between(self) -> bool {
        matches!(self, Self::ServerTime | Self::EdgeTime | Self::PeerTime)
    }
}

/// What one run of a workload on a path gave.
pub(crate) type Sample = BTreeMap<Measure, f64>;

/// How long calls took.
pub(crate) fn times(sample: &mut Sample, calls: &mut Calls) {
    for (measure, part) in [(Measure::P50, 0.5), (Measure::P99, 0.99)] {
        sample.insert(measure, time(calls, part));
    }
}

/// What so great a part of them did not exceed, in milliseconds.
pub(crate) fn time(calls: &mut Calls, part: f64) -> f64 {
    calls.took.sort_unstable();
    let time = percentile(&calls.took, part).unwrap_or_default();
    time.as_secs_f64() * 1e3
}

/// All samples, by workload and path, in the order of their rounds.
#[derive(Debug, Default)]
pub(crate) struct Results {
    samples: BTreeMap<(String, String), Vec<Sample>>,
    /// Of calls that nothing was done to.
    pub(crate) failures: Failures,
}

impl Results {
    pub(crate) fn add(&mut self, workload: &str, path: &str, sample: Sample) {
        let key = (workload.to_owned(), path.to_owned());
        self.samples.entry(key).or_default().push(sample);
    }

    /// A run that could not be made is a failure like a call.
    pub(crate) fn note(&mut self, ran: anyhow::Result<()>) {
        if let Err(error) = ran {
            eprintln!("bench: {error:#}");
            self.failures.add(&error);
        }
    }

    fn all(&self, workload: &str, path: &str, measure: Measure) -> Vec<f64> {
        let samples = self.samples.get(&(workload.to_owned(), path.to_owned()));
        let samples = samples.into_iter().flatten();
        samples
            .filter_map(|sample| sample.get(&measure).copied())
            .collect()
    }

    /// The median of all rounds.
    pub(crate) fn median(&self, workload: &str, path: &str, measure: Measure) -> Option<f64> {
        median(&self.all(workload, path, measure))
    }

    /// The median of what `path` is to `other` in each round.
    pub(crate) fn ratio(
        &self,
        workload: &str,
        path: &str,
        other: &str,
        measure: Measure,
    ) -> Option<f64> {
        let other = self.all(workload, other, measure);
        ratio(&self.all(workload, path, measure), &other)
    }

    /// The median of how much more `path` has than `other` in each round.
    pub(crate) fn difference(
        &self,
        workload: &str,
        path: &str,
        other: &str,
        measure: Measure,
    ) -> Option<f64> {
        let other = self.all(workload, other, measure);
        let ours = self.all(workload, path, measure);
        let pairs = ours.iter().zip(&other);
        let differences: Vec<f64> = pairs.map(|(one, other)| one - other).collect();
        median(&differences)
    }

    /// Paths that a workload was run on.
    pub(crate) fn paths(&self, workload: &str) -> Vec<&str> {
        let keys = self.samples.keys().filter(|(of, _)| of == workload);
        keys.map(|(_, path)| path.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_compared_within_its_rounds() {
        let mut results = Results::default();
        for (direct, ours) in [(10.0, 5.0), (1.0, 0.9), (8.0, 2.0)] {
            results.add("unary", "direct", Sample::from([(Measure::Rate, direct)]));
            results.add("unary", "ours", Sample::from([(Measure::Rate, ours)]));
        }
        assert_eq!(results.median("unary", "ours", Measure::Rate), Some(2.0));
        assert_eq!(
            results.ratio("unary", "ours", "direct", Measure::Rate),
            Some(0.5)
        );
        assert_eq!(
            results.ratio("unary", "nginx", "direct", Measure::Rate),
            None
        );
        assert_eq!(results.paths("unary"), ["direct", "ours"]);
    }
}
