//! Signs of life, counted where the bytes pass, without a lock.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::heartbeat::Signs;

/// What the I/O adapter, the streams and the control loop of one session tell each other.
///
/// Times are microseconds since `base`, plus one, so that 0 can mean "never".
#[derive(Debug)]
pub(crate) struct Activity {
    base: Instant,
    last_received: AtomicU64,
    used_since: AtomicU64,
    used: Notify,
    rtt: AtomicU64,
    suspected: AtomicBool,
}

impl Activity {
    pub(crate) fn new() -> Self {
        Self {
            base: Instant::now(),
            last_received: AtomicU64::new(1),
            used_since: AtomicU64::new(0),
            used: Notify::new(),
            rtt: AtomicU64::new(0),
            suspected: AtomicBool::new(false),
        }
    }

    /// A byte came from the peer.
    pub(crate) fn received(&self) {
        self.last_received.store(self.now(), Ordering::Relaxed);
    }

    /// A stream was written: the peer owes a sign of life.
    pub(crate) fn used(&self) {
        if self.used_since.load(Ordering::Relaxed) == 0 {
            self.used_since.store(self.now(), Ordering::Relaxed);
            self.used.notify_one();
        }
    }

    /// Waits for [`Activity::used`] after it was settled.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub(crate) async fn wait_used(&self) {
        self.used.notified().await;
    }

    /// The signs so far. A use that was answered since is forgotten, so that the next one counts.
    pub(crate) fn signs(&self) -> Signs {
        let received = self.last_received.load(Ordering::Relaxed);
        let used = self.used_since.load(Ordering::Relaxed);
        if used != 0 && received > used {
            self.used_since.store(0, Ordering::Relaxed);
        }
        Signs {
            last_received: self.at(received),
            used_since: (used != 0).then(|| self.at(used)),
        }
    }

    pub(crate) fn set_rtt(&self, rtt: Option<Duration>) {
        let micros = rtt.map_or(0, |rtt| micros(rtt).saturating_add(1));
        self.rtt.store(micros, Ordering::Relaxed);
    }

    pub(crate) fn rtt(&self) -> Option<Duration> {
        let rtt = self.rtt.load(Ordering::Relaxed);
        (rtt != 0).then(|| Duration::from_micros(rtt - 1))
    }

    pub(crate) fn set_suspected(&self, suspected: bool) {
        self.suspected.store(suspected, Ordering::Relaxed);
    }

    pub(crate) fn is_suspected(&self) -> bool {
        self.suspected.load(Ordering::Relaxed)
    }

    fn now(&self) -> u64 {
        micros(self.base.elapsed()).saturating_add(1)
    }

    fn at(&self, micros: u64) -> Instant {
        self.base + Duration::from_micros(micros.saturating_sub(1))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_use_counts_from_its_first_write_until_it_is_answered() {
        let activity = Activity::new();
        let second = Duration::from_secs(1);
        tokio::time::advance(second).await;
        activity.used();
        tokio::time::advance(second).await;
        activity.used();
        let signs = activity.signs();
        assert_eq!(signs.used_since, Some(activity.base + second));
        tokio::time::advance(second).await;
        activity.received();
        activity.signs();
        assert_eq!(activity.signs().used_since, None);
    }
}
