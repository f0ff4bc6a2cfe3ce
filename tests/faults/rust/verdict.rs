//! Which calls may fail of a fault, and what those count as that may not.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::baseline::is_direct;
use crate::calls::Failure;
use crate::load::Made;
use crate::score::{Score, Slow};

/// What calls may fail for after a fault is over, and edges may be away.
pub(crate) const RECOVER: Duration = Duration::from_secs(7);

/// Which calls may fail of a fault, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Excuse {
    /// Only those of the victim, or all.
    pub(crate) all: bool,
    /// Also those that were under way when the fault happened.
    begun_before: bool,
    /// What they may fail of: reasons of the server's statuses, `backend` or `own`.
    pub(crate) reasons: &'static [&'static str],
}

impl Excuse {
    /// Nothing may fail.
    pub(crate) const NONE: Self = Self {
        all: false,
        begun_before: false,
        reasons: &[],
    };

    /// Calls of the victim may.
    pub(crate) const fn victims(reasons: &'static [&'static str]) -> Self {
        Self {
            all: false,
            begun_before: true,
            reasons,
        }
    }

    /// Calls of anybody may.
    pub(crate) const fn anybodys(reasons: &'static [&'static str]) -> Self {
        Self {
            all: true,
            begun_before: true,
            reasons,
        }
    }

    /// But not those that were under way when it happened.
    pub(crate) const fn begun_since(self) -> Self {
        Self {
            begun_before: false,
            ..self
        }
    }
}

/// A fault's time, and what it excuses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) victim: usize,
    pub(crate) struck: Instant,
    pub(crate) healed: Instant,
    pub(crate) excuse: Excuse,
}

impl Fault {
    /// Whether a call was under way while it happened, or until it was got over.
    pub(crate) fn touches(&self, call: &Made) -> bool {
        call.ended >= self.struck && call.began <= self.healed + RECOVER
    }

    /// How long after the fault's end a call began whose failure it excuses; else the column that this counts in.
    pub(crate) fn judge(&self, call: &Made, failure: &Failure) -> Result<Duration, &'static str> {
        let excused = self.excuse.reasons.contains(&failure.reason())
            // A link that breaks has no reasons where nobody can say them.
            || is_direct() && !self.excuse.reasons.is_empty() && failure.is_broken_link();
        if let (Failure::Truncated(_), false) = (failure, excused) {
            return Err("truncated");
        }
        if call.edge != self.victim && !self.excuse.all {
            return Err("collateral");
        }
        let since = if self.excuse.begun_before {
            call.ended
        } else {
            call.began
        };
        let meanwhile = since >= self.struck && call.began <= self.healed + RECOVER;
        if self.excuse.reasons.is_empty() || !meanwhile {
            return Err("lost");
        }
        match excused && failure.is_promised() {
            true => Ok(call.began.saturating_duration_since(self.healed)),
            false if is_direct() => Err("lost"),
            false => Err("wrong-status"),
        }
    }
}

fn slowest(made: &[Made]) -> Option<Slow> {
    let first = made.iter().map(|call| call.began).min()?;
    let slow = |call: &Made| Slow {
        took: call.ended - call.began,
        edge: call.edge,
        began: call.began - first,
    };
    made.iter().map(slow).max()
}

/// Counts calls, and those that failed by what `judge` says of them.
pub(crate) fn weigh(
    made: &[Made],
    score: &mut Score,
    judge: impl Fn(&Made, &Failure) -> Result<Duration, &'static str>,
) {
    let mut said = BTreeMap::<String, usize>::new();
    score.calls += made.len();
    score.slowest = score.slowest.max(slowest(made));
    for call in made {
        let Some(failure) = &call.failure else {
            continue;
        };
        match judge(call, failure) {
            Ok(recover) => score.recover = score.recover.max(Some(recover)),
            Err(column) => {
                *said
                    .entry(format!("{column}: {failure}, {:?}", call.kind))
                    .or_default() += 1;
                *match column {
                    "truncated" => &mut score.truncated,
                    "collateral" => &mut score.collateral,
                    "lost" => &mut score.lost,
                    _ => &mut score.wrong,
                } += 1;
            }
        }
    }
    let lines = said
        .into_iter()
        .map(|(what, times)| format!("{times} x {what}"));
    score.problems.extend(lines);
}
