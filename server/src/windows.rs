//! HTTP/2 receive windows: how much of them calls hold, and how far they should grow.
//!
//! A connection's window is shared by its calls. If it were fixed, a few callers that stop reading would hold all of it
//! and block everybody else. So the window is a base *plus what is held now* ([`Holdings`]): what stalled calls keep
//! never comes out of what others need, and memory is bounded by calls × stream window.
//!
//! A stream's window starts small, so that an innocent call never queues behind megabytes, and grows only on a
//! connection that carries bulk, toward twice bandwidth × *minimum* round trip ([`Tuner`]): a round trip inflated by
//! our own queue must not grow the queue. The calls that carry the bulk share that, so that hundreds of them hold no more
//! than one, and what queues before an innocent call is not as long as there are of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;
use std::time::Duration;

use futures::task::AtomicWaker;
use tokio::time::Instant;

/// First window of a stream.
pub(crate) const STREAM_WINDOW: u32 = 256 * 1024;
/// DATA frames of any size may pile up behind a slow reader: they are drained eagerly and merged, so their count says
/// nothing about memory, and h2's budget for small ones would end the connection.
pub(crate) const DATA_FRAME_BUDGET: usize = 1 << 40;
/// Bytes that h2 may hold for one stream on their way out.
pub(crate) const SEND_BUFFER: usize = 256 * 1024;
/// Largest window of a stream.
const MAX_STREAM_WINDOW: u32 = 16 * 1024 * 1024;
/// What a connection may receive beyond what its calls hold.
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// Changes of the held bytes smaller than this wake nobody.
const STEP: usize = 256 * 1024;
/// Between two looks at the bandwidth, at least.
const SAMPLE: Duration = Duration::from_millis(20);

/// Round trips longer than this grow no window further.
const LONGEST_RTT: Duration = Duration::from_millis(500);

/// Bytes that the calls of one connection received and could not pass on yet.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    held: AtomicUsize,
    /// The step at which the connection was told last.
    told: AtomicUsize,
    received: AtomicU64,
    bulk_calls: AtomicUsize,
    owner: AtomicWaker,
}

impl Holdings {
    pub(crate) fn add(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
        let held = self.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.tell(held);
    }

    pub(crate) fn remove(&self, bytes: usize) {
        let held = self.held.fetch_sub(bytes, Ordering::Relaxed) - bytes;
        self.tell(held);
    }

    fn tell(&self, held: usize) {
        let step = held.div_ceil(STEP);
        if step != self.told.load(Ordering::Relaxed) {
            self.told.store(step, Ordering::Relaxed);
            self.owner.wake();
        }
    }

    /// The owner of the connection is woken when [`Holdings::target`] changes.
    pub(crate) fn register(&self, owner: &Waker) {
        self.owner.register(owner);
    }

    /// Wakes the owner.
    pub(crate) fn wake(&self) {
        self.owner.wake();
    }

    /// The connection window that keeps the base free.
    pub(crate) fn target(&self, stream_window: u32) -> u32 {
        let held = self.held.load(Ordering::Relaxed).div_ceil(STEP) * STEP;
        let target = held.saturating_add(CONNECTION_WINDOW.max(stream_window) as usize);
        u32::try_from(target)
            .unwrap_or(u32::MAX)
            .min(i32::MAX as u32)
    }

    /// A call begins to move much.
    pub(crate) fn bulk_call(self: &Arc<Self>) -> BulkCall {
        self.bulk_calls.fetch_add(1, Ordering::Relaxed);
        BulkCall(Arc::clone(self))
    }

    /// Calls that move much now.
    pub(crate) fn bulk_calls(&self) -> usize {
        self.bulk_calls.load(Ordering::Relaxed)
    }

    /// Bytes received since the beginning.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

/// A call that moves much, until it ends.
#[derive(Debug)]
pub(crate) struct BulkCall(Arc<Holdings>);

impl Drop for BulkCall {
    fn drop(&mut self) {
        self.0.bulk_calls.fetch_sub(1, Ordering::Relaxed);
    }
}

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

    #[test]
    fn what_is_held_never_comes_out_of_the_base() {
        let holdings = Holdings::default();
        assert_eq!(holdings.target(STREAM_WINDOW), CONNECTION_WINDOW);
        holdings.add(64 * 256 * 1024);
        assert_eq!(
            holdings.target(STREAM_WINDOW),
            CONNECTION_WINDOW + 64 * 256 * 1024
        );
        holdings.remove(64 * 256 * 1024);
        assert_eq!(holdings.target(STREAM_WINDOW), CONNECTION_WINDOW);
    }
}
