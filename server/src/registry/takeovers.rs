//! How often an id may pass from one edge to another: twins that take it from each other in turn are made to settle.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Takeovers within [`WINDOW`] that are taken for those of one edge that is set up anew, and not of twins.
const MOST: usize = 6;
const WINDOW: Duration = Duration::from_secs(60);
/// How long the id then stays where it is.
const HOLD: Duration = Duration::from_secs(60);

/// The takeovers of one id.
#[derive(Debug, Default)]
pub(super) struct Takeovers {
    recent: VecDeque<Instant>,
    held_until: Option<Instant>,
}

/// No takeover now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) left: Duration,
    /// Whether this is the first to be told.
    pub(super) begins: bool,
}

impl Takeovers {
    /// Counts a takeover at `now`, unless it is one too many.
    pub(super) fn count(&mut self, now: Instant) -> Result<(), Held> {
        if let Some(until) = self.held_until.filter(|until| now < *until) {
            let left = until - now;
            return Err(Held {
                left,
                begins: false,
            });
        }
        self.recent.retain(|then| now < *then + WINDOW);
        if self.recent.len() >= MOST {
            self.recent.clear();
            self.held_until = Some(now + HOLD);
            return Err(Held {
                left: HOLD,
                begins: true,
            });
        }
        self.recent.push_back(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(left: u64, begins: bool) -> Result<(), Held> {
        let left = Duration::from_secs(left);
        Err(Held { left, begins })
    }

    #[test]
    fn the_seventh_within_a_minute_is_refused_for_a_minute() {
        let mut takeovers = Takeovers::default();
        let start = Instant::now();
        let mut at = |seconds| takeovers.count(start + Duration::from_secs(seconds));
        for seconds in 0..6 {
            assert_eq!(at(seconds), Ok(()));
        }
        assert_eq!(at(59), held(60, true));
        assert_eq!(at(60), held(59, false));
        assert_eq!(at(118), held(1, false));
        assert_eq!(at(119), Ok(()));
    }

    #[test]
    fn what_is_a_minute_old_counts_no_more() {
        let mut takeovers = Takeovers::default();
        let start = Instant::now();
        for n in 0..100 {
            let now = start + Duration::from_secs(10 * n);
            assert_eq!(takeovers.count(now), Ok(()), "{n}");
        }
    }
}
