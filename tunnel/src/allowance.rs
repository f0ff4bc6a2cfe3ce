//! How much of something a peer may do before it is a flood.

use tokio::time::Instant;

/// So much at once, so much again as time passes, and what the peer earns beside that.
///
/// The clock is read only when nothing is left, so that counting costs next to nothing: over any time it allows the
/// burst, what was earned, and the rate.
#[derive(Debug, Clone)]
pub struct Allowance {
    left: u64,
    burst: u64,
    per_second: u64,
    refilled: Instant,
}

/// Most that can be saved by earning. Far more than any peer needs, and less than a second's work.
const SAVED: u64 = 1_000_000;

impl Allowance {
    /// Allows `burst` at once, and `per_second` beside that.
    #[must_use]
    pub fn new(burst: u64, per_second: u64) -> Self {
        Self {
            left: burst,
            burst,
            per_second,
            refilled: Instant::now(),
        }
    }

    /// Takes one; false when none is left.
    pub fn take(&mut self) -> bool {
        if self.left == 0 {
            self.refill();
        }
        let is_left = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_left
    }

    /// Adds `n` for something the peer, or this side, did.
    pub fn earn(&mut self, n: u64) {
        self.left = self.left.max((self.left + n).min(SAVED));
    }

    /// The same, but no more than a burst can be saved.
    pub fn earn_back(&mut self, n: u64) {
        self.left = self.left.max((self.left + n).min(self.burst));
    }

    fn refill(&mut self) {
        let millis = u64::try_from(self.refilled.elapsed().as_millis()).unwrap_or(u64::MAX);
        let due = millis.saturating_mul(self.per_second) / 1_000;
        if due > 0 {
            self.left = due.min(self.burst);
            self.refilled = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn taken(allowance: &mut Allowance) -> usize {
        std::iter::repeat_with(|| allowance.take())
            .take_while(|taken| *taken)
            .count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_at_once_and_then_the_rate() {
        let mut allowance = Allowance::new(100, 10);
        assert_eq!(taken(&mut allowance), 100);
        assert_eq!(taken(&mut allowance), 0);
        tokio::time::advance(Duration::from_millis(2_500)).await;
        assert_eq!(taken(&mut allowance), 25);
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert_eq!(taken(&mut allowance), 100, "no more than a burst is saved");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_earned_comes_on_top() {
        let mut allowance = Allowance::new(10, 0);
        allowance.earn(5);
        assert_eq!(taken(&mut allowance), 15);
        allowance.earn(u64::MAX / 2);
        assert_eq!(taken(&mut allowance), 1_000_000, "and not without end");
        allowance.earn_back(7);
        allowance.earn_back(7);
        assert_eq!(taken(&mut allowance), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_rate_is_not_lost_in_looking() {
        let mut allowance = Allowance::new(1, 1);
        assert!(allowance.take());
        for _ in 0..9 {
            tokio::time::advance(Duration::from_millis(100)).await;
            assert!(!allowance.take());
        }
        tokio::time::advance(Duration::from_millis(100)).await;
        assert!(allowance.take());
    }
}
