//! How many resets one lane may still send: a bucket of tokens, and what the backend makes of them.

use std::collections::VecDeque;
use std::time::Duration;

use h2::Reason;
use tokio::time::Instant;

use super::tolerance::Tolerance;

/// A lane that ends with so many resets in [`LATELY`] was ended for them.
const BLAMED: usize = 10;
const LATELY: Duration = Duration::from_secs(5);
/// Calls after which resets are weighed against them: Envoy does it after 500 that ended.
const WEIGHED: u32 = 400;

/// Whether a lane has room for one more call, with a view to its reset; the better first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Room {
    /// It has, and for its reset.
    Free,
    /// More calls are open than could be reset at once, but few were lately: better than no lane.
    Beyond,
    /// So many of its calls were reset that a backend might take offence, by their share.
    Worn,
    /// More calls are open than could be reset at once, because many were lately.
    Spent,
    /// Cancelled calls wait on it for proof that the backend took them, and others that it should take first.
    Gated,
    /// It has as many calls as it takes.
    Full,
}

/// The resets of one lane.
#[derive(Debug)]
pub(crate) struct Budget {
    tolerance: Tolerance,
    tokens: f64,
    refilled: Instant,
    /// Calls so far.
    started: u32,
    /// Resets so far.
    sent: u32,
    /// When the last [`BLAMED`] were sent.
    last: VecDeque<Instant>,
}

impl Budget {
    pub(crate) fn new(tolerance: Tolerance, now: Instant) -> Self {
        Self {
            tolerance,
            tokens: tolerance.resets.map_or(0.0, |rate| rate.burst),
            refilled: now,
            started: 0,
            sent: 0,
            last: VecDeque::with_capacity(BLAMED),
        }
    }

    pub(crate) fn tolerance(&self) -> &Tolerance {
        &self.tolerance
    }

    /// A call was started.
    pub(crate) fn started(&mut self) {
        self.started = self.started.saturating_add(1);
    }

    /// Whether a reset may be sent now; if so, it is.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.refill(now);
        if self.tolerance.resets.is_some() {
            if self.tokens < 1.0 {
                return false;
            }
            self.tokens -= 1.0;
        }
        self.sent = self.sent.saturating_add(1);
        if self.last.len() == BLAMED {
            self.last.pop_front();
        }
        self.last.push_back(now);
        true
    }

    /// When the next reset may be sent, after [`Budget::take`] said no.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        let rate = self.tolerance.resets?;
        let missing = 1.0 - self.tokens;
        // A little later than exact, or rounding would make it a little too early for ever.
        let wait = Duration::from_secs_f64((missing / rate.per_second).max(0.0));
        (missing > 0.0).then(|| self.refilled + wait + Duration::from_millis(1))
    }

    /// Whether there is room for one more call beside `open` ones.
    pub(crate) fn room(&mut self, open: usize, now: Instant) -> Room {
        self.refill(now);
        if open >= self.tolerance.calls {
            return Room::Full;
        }
        let room = match self.tolerance.resets {
            None => Room::Free,
            Some(_) if (open as f64) < self.tokens => Room::Free,
            Some(rate) if self.tokens >= rate.burst / 2.0 => Room::Beyond,
            Some(_) => Room::Spent,
        };
        if self.outweighed(open) {
            return room.max(Room::Worn);
        }
        room
    }

    /// Whether more than half of the lane's calls were reset, or would be if all open ones were too.
    fn outweighed(&self, open: usize) -> bool {
        let resets = u64::from(self.sent) + open as u64;
        self.tolerance.weighs && self.started >= WEIGHED && resets * 2 > u64::from(self.started)
    }

    /// What is to be learnt if the backend ends the lane with `reason` now.
    pub(crate) fn lesson(&self, reason: Reason, now: Instant) -> Option<Tolerance> {
        let first = self.last.front().filter(|_| self.last.len() == BLAMED)?;
        let blamed = reason != Reason::NO_ERROR && now.duration_since(*first) <= LATELY;
        blamed.then(|| self.tolerance.after(reason, self.sent))
    }

    fn refill(&mut self, now: Instant) {
        if let Some(rate) = self.tolerance.resets {
            let passed = now.saturating_duration_since(self.refilled).as_secs_f64();
            self.tokens = (self.tokens + passed * rate.per_second).min(rate.burst);
        }
        self.refilled = self.refilled.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says nothing in its SETTINGS: 900 at once, 30 more a second.
    fn node(now: Instant) -> Budget {
        Budget::new(Tolerance::of_settings(&[]), now)
    }

    /// 150 at once, and weighed.
    fn unknown(now: Instant) -> Budget {
        Budget::new(Tolerance::of_settings(&[0, 3, 0, 0, 0, 100]), now)
    }

    fn take_all(budget: &mut Budget, now: Instant) -> usize {
        (0..10_000).take_while(|_| budget.take(now)).count()
    }

    #[test]
    fn a_burst_and_then_as_many_as_come_back() {
        let now = Instant::now();
        let mut budget = node(now);
        assert_eq!(take_all(&mut budget, now), 900);
        let next = budget.next_at().unwrap();
        assert!(next > now && next < now + Duration::from_millis(50));
        assert_eq!(take_all(&mut budget, next), 1);
        assert_eq!(take_all(&mut budget, next + Duration::from_secs(10)), 300);
        // An idle lane saves up no more than the burst.
        let later = next + Duration::from_secs(3_600);
        assert_eq!(take_all(&mut budget, later), 900);
    }

    #[test]
    fn every_open_call_has_its_reset() {
        let now = Instant::now();
        let mut budget = node(now);
        take_all(&mut budget, now);
        let later = now + Duration::from_secs(5);
        assert_eq!(budget.room(149, later), Room::Free);
        assert_eq!(budget.room(150, later), Room::Spent);
    }

    #[test]
    fn a_lane_with_few_resets_takes_more_calls_than_it_could_reset() {
        let now = Instant::now();
        let mut budget = unknown(now);
        assert_eq!(budget.room(149, now), Room::Free);
        assert_eq!(budget.room(150, now), Room::Beyond);
        assert_eq!(budget.room(256, now), Room::Full);
        (0..75).for_each(|_| assert!(budget.take(now)));
        assert_eq!(budget.room(150, now), Room::Beyond);
        assert!(budget.take(now));
        assert_eq!(budget.room(150, now), Room::Spent);
        assert_eq!(budget.room(73, now), Room::Free);
    }

    #[test]
    fn resets_are_weighed_against_all_calls() {
        let start = Instant::now();
        let mut budget = unknown(start);
        let mut now = start;
        // One in three, at a rate that the bucket refills.
        for n in 0..600 {
            assert_eq!(budget.room(0, now), Room::Free, "{n}");
            budget.started();
            assert!(n % 3 != 0 || budget.take(now));
            now += Duration::from_secs(1);
        }
        // If all open calls were reset too, it would be just half of them, or more.
        assert_eq!(budget.room(100, now), Room::Free);
        assert_eq!(budget.room(101, now), Room::Worn);
    }

    #[test]
    fn only_an_error_after_many_recent_resets_is_a_lesson() {
        let now = Instant::now();
        let mut budget = node(now);
        (0..9).for_each(|_| assert!(budget.take(now)));
        assert_eq!(budget.lesson(Reason::INTERNAL_ERROR, now), None);
        assert!(budget.take(now));
        assert!(budget.lesson(Reason::INTERNAL_ERROR, now).is_some());
        assert_eq!(budget.lesson(Reason::NO_ERROR, now), None);
        let later = now + Duration::from_secs(6);
        assert_eq!(budget.lesson(Reason::INTERNAL_ERROR, later), None);
    }
}
