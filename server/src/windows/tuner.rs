//! How far a connection's windows should grow.

use std::time::Duration;

use tokio::time::Instant;

use super::{Holdings, STREAM_WINDOW};

/// Largest window of a stream.
const MAX_STREAM_WINDOW: u32 = 16 * 1024 * 1024;
/// Between two looks at the bandwidth, at least.
const SAMPLE: Duration = Duration::from_millis(20);
/// Round trips longer than this grow no window further.
const LONGEST_RTT: Duration = Duration::from_millis(500);

/// How large the windows of a connection's streams should be.
#[derive(Debug)]
pub(crate) struct Tuner {
    window: u32,
    sampled: Option<(Instant, u64)>,
}

impl Tuner {
    pub(crate) fn new() -> Self {
        Self {
            window: STREAM_WINDOW,
            sampled: None,
        }
    }

    /// The window now.
    pub(crate) fn window(&self) -> u32 {
        self.window
    }

    /// Takes a sample; returns a larger window when streams could use it. It at most doubles.
    pub(crate) fn sample(
        &mut self,
        now: Instant,
        holdings: &Holdings,
        min_rtt: Option<Duration>,
    ) -> Option<u32> {
        let received = holdings.received();
        let Some((since, before)) = self.sampled else {
            self.sampled = Some((now, received));
            return None;
        };
        // A peer could delay its answers to make us grant it more.
        let min_rtt = min_rtt?.min(LONGEST_RTT);
        let elapsed = now.duration_since(since);
        if elapsed < SAMPLE.max(min_rtt) {
            return None;
        }
        self.sampled = Some((now, received));
        let bytes_per_second = (received - before) as f64 / elapsed.as_secs_f64();
        let sharing = holdings.bulk_calls().max(1) as f64;
        let wanted = 2.0 * bytes_per_second * min_rtt.as_secs_f64() / sharing;
        let doubled = f64::from(self.window) * 2.0;
        let next = wanted.min(doubled).min(f64::from(MAX_STREAM_WINDOW)) as u32;
        // Small gains are not worth a SETTINGS frame.
        (next > self.window + self.window / 4).then_some(next)
    }

    /// The window was announced to the peer.
    pub(crate) fn grown(&mut self, window: u32) {
        self.window = window;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Windows that result when `rate` bytes a second can pass at `rtt`, and the window limits it.
    fn settle(rate: f64, min_rtt: Duration, rtt: Duration) -> u32 {
        settle_for(1, rate, min_rtt, rtt)
    }

    /// The same for so many calls.
    fn settle_for(calls: u32, rate: f64, min_rtt: Duration, rtt: Duration) -> u32 {
        let mut tuner = Tuner::new();
        let start = Instant::now();
        let holdings = Arc::new(Holdings::default());
        let _calls: Vec<_> = (0..calls).map(|_| holdings.bulk_call()).collect();
        for tick in 0..500u32 {
            let now = start + Duration::from_millis(50) * tick;
            if let Some(window) = tuner.sample(now, &holdings, Some(min_rtt)) {
                tuner.grown(window);
            }
            let limit = f64::from(calls) * f64::from(tuner.window()) / rtt.as_secs_f64();
            let received = (rate.min(limit) * 0.05) as usize;
            holdings.add(received);
            holdings.remove(received);
        }
        tuner.window()
    }

    #[test]
    fn a_long_fat_link_gets_twice_its_product() {
        let ms = Duration::from_millis;
        let window = settle(100e6, ms(50), ms(50));
        assert!((8_000_000..=10_500_000).contains(&window), "{window}");
    }

    #[test]
    fn a_short_link_keeps_the_first_window() {
        let rtt = Duration::from_micros(100);
        assert_eq!(settle(500e6, rtt, rtt), STREAM_WINDOW);
    }

    #[test]
    fn an_inflated_round_trip_does_not_grow_the_queue() {
        let ms = Duration::from_millis;
        let window = settle(50e6, ms(10), ms(200));
        assert!(window <= 1_100_000, "{window}");
    }

    #[test]
    fn many_calls_share_what_one_would_get() {
        let ms = Duration::from_millis;
        let window = settle_for(10, 100e6, ms(50), ms(50));
        assert!((750_000..=1_050_000).contains(&window), "{window}");
        assert_eq!(settle_for(200, 100e6, ms(50), ms(50)), STREAM_WINDOW);
    }

    #[test]
    fn the_cap_holds() {
        let ms = Duration::from_millis;
        assert_eq!(settle(10e9, ms(100), ms(100)), MAX_STREAM_WINDOW);
    }
}
