//! Signs of life, counted where the bytes pass, without a lock.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
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
    /// Wakes the control loop.
    nudged: Notify,
    /// Whether somebody wants to know now that the peer lives.
    asked: AtomicBool,
    /// Whether the control loop has a timer for the use.
    watched: AtomicBool,
    rtt: AtomicU32,
    suspected: AtomicBool,
    trusted: Notify,
    moved: AtomicU64,
}

impl Activity {
    pub(crate) fn new() -> Self {
        Self {
            base: Instant::now(),
            last_received: AtomicU64::new(1),
            used_since: AtomicU64::new(0),
            nudged: Notify::new(),
            asked: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            rtt: AtomicU32::new(0),
            suspected: AtomicBool::new(false),
            trusted: Notify::new(),
            moved: AtomicU64::new(0),
        }
    }

    /// A byte came from the peer.
    pub(crate) fn received(&self) {
        self.last_received.store(self.now(), Ordering::Relaxed);
    }

    /// A socket that was full takes bytes again, so the peer's end took some. On a link that is full both ways of asking
    /// and answering wait behind what is under way, and this is all that can be seen of a peer that is well.
    pub(crate) fn unblocked(&self) {
        self.received();
    }

    /// A stream read or wrote something.
    pub(crate) fn stream_moved(&self) {
        self.moved.fetch_add(1, Ordering::Relaxed);
    }

    /// How often.
    pub(crate) fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    /// A stream was written: the peer owes a sign of life.
    pub(crate) fn used(&self) {
        // Only the first write since the last sign counts: that is since when the peer owes one.
        let used = self.used_since.load(Ordering::Relaxed);
        if used > self.last_received.load(Ordering::Relaxed) {
            return;
        }
        self.used_since.store(self.now(), Ordering::SeqCst);
        if !self.watched.swap(true, Ordering::SeqCst) {
            self.nudge();
        }
    }

    /// Asks the control loop for a heartbeat now.
    pub(crate) fn ask(&self) {
        self.asked.store(true, Ordering::SeqCst);
        self.nudge();
    }

    /// Has the control loop look at what was said to it.
    pub(crate) fn nudge(&self) {
        self.nudged.notify_one();
    }

    /// Whether one was asked for since the last look.
    pub(crate) fn take_asked(&self) -> bool {
        self.asked.swap(false, Ordering::SeqCst)
    }

    /// Waits for a use while none is watched, or for a nudge.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub(crate) fn nudged(&self) -> Notified<'_> {
        self.nudged.notified()
    }

    /// The signs so far. With a use among them the caller must look again when it is due; without one, the next use
    /// wakes [`Activity::nudged`]. So the control loop is woken once per due time at most, and not per call.
    pub(crate) fn signs(&self) -> Signs {
        self.watched.store(false, Ordering::SeqCst);
        let used = self.used_since.load(Ordering::SeqCst);
        let received = self.last_received.load(Ordering::SeqCst);
        let owed = used > received;
        if owed {
            self.watched.store(true, Ordering::SeqCst);
        }
        Signs {
            last_received: self.at(received),
            used_since: owed.then(|| self.at(used)),
        }
    }

    /// When the last byte came from the peer.
    pub(crate) fn last_received(&self) -> Instant {
        self.at(self.last_received.load(Ordering::SeqCst))
    }

    pub(crate) fn set_rtt(&self, rtt: Option<Duration>) {
        let micros = rtt.map_or(0, |rtt| micros(rtt).saturating_add(1));
        // More than an hour is as bad as an hour.
        let micros = u32::try_from(micros).unwrap_or(u32::MAX);
        self.rtt.store(micros, Ordering::Relaxed);
    }

    pub(crate) fn rtt(&self) -> Option<Duration> {
        let rtt = self.rtt.load(Ordering::Relaxed);
        (rtt != 0).then(|| Duration::from_micros((rtt - 1).into()))
    }

    pub(crate) fn set_suspected(&self, suspected: bool) {
        self.suspected.store(suspected, Ordering::SeqCst);
        if !suspected {
            self.trusted.notify_one();
        }
    }

    /// Waits until a peer that was suspected is not any more. For one who waits; what happens in between is told next.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub(crate) async fn trusted_again(&self) {
        self.trusted.notified().await;
    }

    pub(crate) fn is_suspected(&self) -> bool {
        self.suspected.load(Ordering::SeqCst)
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
        assert_eq!(activity.signs().used_since, None);
        // Whether or not anybody looked in between, the next use counts anew.
        tokio::time::advance(second).await;
        activity.used();
        activity.received();
        tokio::time::advance(second).await;
        activity.used();
        assert_eq!(
            activity.signs().used_since,
            Some(activity.base + second * 5)
        );
    }
}
