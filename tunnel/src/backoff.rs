//! When to dial again.

use std::time::Duration;

use rand::Rng;
use tokio::time::Instant;

/// The first redial of an outage comes within this, so that a blip costs nothing.
const FIRST: Duration = Duration::from_millis(250);
/// Ceiling of the second delay.
const BASE: Duration = Duration::from_secs(1);
/// What the ceiling grows by.
const FACTOR: f64 = 1.6;
/// Ceiling during an outage's first minute: short enough that a restarted server has everybody back within 5 s,
/// the dial itself included.
const SHORT: Duration = Duration::from_millis(4_750);
/// How long [`SHORT`] holds.
const SHORT_PERIOD: Duration = Duration::from_secs(60);
/// Ceiling after it.
const LONG: Duration = Duration::from_secs(30);

/// Delays between dials of one outage: full jitter under a growing ceiling, so that ten thousand edges which lost
/// the same server spread over the whole interval.
///
/// *Source:* "Exponential Backoff And Jitter", AWS Architecture Blog; base and factor as gRPC's connection backoff.
#[derive(Debug)]
pub struct Backoff {
    attempt: i32,
    outage_since: Option<Instant>,
}

impl Backoff {
    /// No outage yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            attempt: 0,
            outage_since: None,
        }
    }

    /// The delay before the next dial. `now` is when the last attempt or tunnel ended.
    pub fn next_delay(&mut self, now: Instant, rng: &mut impl Rng) -> Duration {
        let since = *self.outage_since.get_or_insert(now);
        let ceiling = if self.attempt == 0 {
            FIRST
        } else {
            let grown = BASE.mul_f64(FACTOR.powi((self.attempt - 1).min(16)));
            let cap = if now.duration_since(since) < SHORT_PERIOD {
                SHORT
            } else {
                LONG
            };
            grown.min(cap)
        };
        self.attempt = self.attempt.saturating_add(1);
        ceiling.mul_f64(rng.random::<f64>())
    }

    /// The outage is over: a heartbeat was answered. A mere connect is not enough, or a server that dies on every
    /// hello would be hammered.
    pub fn reset(&mut self) {
        *self = Self::new();
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    proptest! {
        #[test]
        fn delays_stay_under_the_ceilings(seed: u64, steps in 1usize..200) {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut backoff = Backoff::new();
            let start = Instant::now();
            let mut now = start;
            for step in 0..steps {
                let delay = backoff.next_delay(now, &mut rng);
                let ceiling = match step {
                    0 => FIRST,
                    _ if now - start < SHORT_PERIOD => SHORT,
                    _ => LONG,
                };
                prop_assert!(delay <= ceiling, "step {step}: {delay:?} > {ceiling:?}");
                now += delay;
            }
        }
    }

    #[test]
    fn delays_spread_over_the_whole_interval() {
        let mut rng = StdRng::seed_from_u64(1);
        let now = Instant::now();
        let mut low = 0;
        for _ in 0..1_000 {
            let mut backoff = Backoff::new();
            for _ in 0..8 {
                backoff.next_delay(now, &mut rng);
            }
            if backoff.next_delay(now, &mut rng) < SHORT / 2 {
                low += 1;
            }
        }
        assert!((400..600).contains(&low), "{low} of 1000 below the middle");
    }

    #[test]
    fn an_answered_heartbeat_starts_over() {
        let mut rng = StdRng::seed_from_u64(1);
        let now = Instant::now();
        let mut backoff = Backoff::new();
        for _ in 0..9 {
            backoff.next_delay(now, &mut rng);
        }
        backoff.reset();
        assert!(backoff.next_delay(now, &mut rng) <= FIRST);
    }
}
