//! What a case came to.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

/// The columns of one case, or of all.
#[derive(Debug, Default)]
pub(crate) struct Score {
    /// Calls that were made.
    pub(crate) calls: usize,
    /// That failed though they should not have.
    pub(crate) lost: usize,
    /// That failed as they might, with a status that they should not have.
    pub(crate) wrong: usize,
    /// That reached a backend more than once.
    pub(crate) doubled: usize,
    /// That failed on an edge which nothing had happened to.
    pub(crate) collateral: usize,
    /// That ended as if all were well, with less than was asked for.
    pub(crate) truncated: usize,
    /// How long it took until the server knew.
    pub(crate) detect: Option<Duration>,
    /// From the fault's end to the begin of the last call that failed.
    pub(crate) recover: Option<Duration>,
    /// The call that took longest.
    pub(crate) slowest: Option<Slow>,
    /// Descriptors that did not come back.
    pub(crate) leaks: usize,
    /// Whatever else should not have happened.
    pub(crate) problems: Vec<String>,
}

/// A call that took long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slow {
    pub(crate) took: Duration,
    pub(crate) edge: usize,
    /// How long after the first call it began.
    pub(crate) began: Duration,
}

impl fmt::Display for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { took, edge, began } = self;
        write!(
            f,
            "a call to edge-{edge}, {began:.1?} after the first, took {took:.1?}"
        )
    }
}

impl Score {
    /// Notes what must hold.
    pub(crate) fn require(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.problems.push(what());
        }
    }

    pub(crate) fn survived(&self) -> bool {
        let zeros = [self.lost, self.wrong, self.doubled, self.collateral];
        let more = [self.truncated, self.leaks, self.problems.len()];
        zeros.iter().chain(&more).all(|count| *count == 0)
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "calls": self.calls,
            "lost": self.lost,
            "wrong_status": self.wrong,
            "double_executed": self.doubled,
            "collateral": self.collateral,
            "truncated_as_complete": self.truncated,
            "detect_seconds": self.detect.map(|time| time.as_secs_f64()),
            "recover_seconds": self.recover.map(|time| time.as_secs_f64()),
            "leaks": self.leaks,
            "problems": self.problems,
        })
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [
            (self.lost, "lost"),
            (self.wrong, "wrong-status"),
            (self.doubled, "double-executed"),
            (self.collateral, "collateral"),
            (self.truncated, "truncated"),
            (self.leaks, "leaked"),
        ];
        write!(f, "{} calls", self.calls)?;
        for (count, name) in named.iter().filter(|(count, _)| *count > 0) {
            write!(f, ", {count} {name}")?;
        }
        for (time, name) in [(self.detect, "detected"), (self.recover, "recovered")] {
            if let Some(time) = time {
                write!(f, ", {name} after {:.1} s", time.as_secs_f64())?;
            }
        }
        let mut problems = self.problems.iter();
        problems.try_for_each(|problem| write!(f, "\n       {problem}"))
    }
}

/// A case needs what is not on this machine. Says what.
#[derive(Debug, Clone)]
pub(crate) struct NotRun(pub(crate) String);

impl fmt::Display for NotRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for NotRun {}

/// All cases of a run.
#[derive(Debug, Default)]
pub(crate) struct Total {
    cases: usize,
    survived: usize,
    not_run: usize,
    sum: Score,
    recoveries: Vec<Duration>,
    each: Vec<Value>,
}

impl Total {
    /// Counts a case; without a score it was not run, which counts against it.
    pub(crate) fn add(&mut self, id: &str, what: &str, result: Result<&Score, &str>) {
        self.cases += 1;
        let mut entry = json!({"id": id, "case": what});
        match result {
            Ok(score) => {
                self.survived += usize::from(score.survived());
                entry["survived"] = score.survived().into();
                entry["score"] = score.json();
                let sum = &mut self.sum;
                sum.calls += score.calls;
                sum.lost += score.lost;
                sum.wrong += score.wrong;
                sum.doubled += score.doubled;
                sum.collateral += score.collateral;
                sum.truncated += score.truncated;
                sum.leaks += score.leaks;
                sum.detect = sum.detect.max(score.detect);
                self.recoveries.extend(score.recover);
            }
            Err(reason) => {
                self.not_run += 1;
                entry["survived"] = false.into();
                entry["not_run"] = reason.into();
            }
        }
        self.each.push(entry);
    }

    /// Whether all were.
    pub(crate) fn all_survived(&self) -> bool {
        self.survived == self.cases
    }

    /// Everything, for machines.
    pub(crate) fn json(&self) -> Value {
        let mut sum = self.sum.json();
        sum["recover_p99_seconds"] = self.recover_p99().map(|time| time.as_secs_f64()).into();
        json!({"cases": self.cases, "survived": self.survived, "not_run": self.not_run, "sum": sum, "each": self.each})
    }

    fn recover_p99(&self) -> Option<Duration> {
        let mut sorted = self.recoveries.clone();
        sorted.sort_unstable();
        let last = sorted.len().checked_sub(1)?;
        sorted.get((last as f64 * 0.99).round() as usize).copied()
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cases,
            survived,
            not_run,
            sum,
            ..
        } = self;
        let seconds = |time: Option<Duration>| time.unwrap_or_default().as_secs_f64();
        write!(
            f,
            "faults survived {survived}/{cases} ({not_run} not run), lost {}, wrong-status {}, double-executed {}, collateral {}, \
             truncated-as-complete {}, detect p100 {:.1} s, recover p99 {:.1} s, leaks {} ({} calls)",
            sum.lost,
            sum.wrong,
            sum.doubled,
            sum.collateral,
            sum.truncated,
            seconds(sum.detect),
            seconds(self.recover_p99()),
            sum.leaks,
            sum.calls
        )
    }
}
