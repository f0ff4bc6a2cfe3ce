//! Notices that an upload waits for its backend's window, and not for the link or the backend.
//!
//! HTTP/2 lets go of so many bytes of a call until the backend gives credit, which takes a round trip at least. Where a backend
//! takes all at once, the upload gets that window in each round trip, and waits nearly all the time. A slow backend makes it
//! wait as well, but then less comes in a round trip than the window; and on a link that is full its bytes take longer. A
//! backend whose window grows by itself lets more through. So what is looked for is a rate: that of the window, and no other.
//!
//! Nothing says how large the window is. What goes out before the first wait of about a round trip is as much, unless h2's own
//! buffer was full first: a window that is not smaller is not looked at.

use std::time::Duration;

use tokio::time::Instant;

use crate::windows::SEND_BUFFER;

/// Below this a small window lets enough through.
const FAR: Duration = Duration::from_millis(5);
/// An upload is watched so long before anything is said of it.
const WATCHED: Duration = Duration::from_secs(2);
/// Of what the window lets through in a round trip: what a backend that takes all at once gets. Whatever works on the way takes
/// some of it, and one that takes half a round trip more is slow.
const RATE: (f64, f64) = (0.7, 1.2);

/// An upload that waited.
#[derive(Debug)]
pub(super) struct Narrow {
    /// Since when it waits, and what had gone out before.
    wait: Option<Instant>,
    passed: u64,
    window: Option<u64>,
    watched: Watched,
}

/// What an upload did since then.
#[derive(Debug)]
struct Watched {
    since: Instant,
    passed: u64,
    waited: Duration,
}

/// A window that limits an upload.
#[derive(Debug, PartialEq)]
pub(super) struct Limit {
    /// Its bytes.
    pub(super) window: u64,
    /// The bytes that it lets through in a second.
    pub(super) rate: f64,
}

impl Narrow {
    /// It waits for the first time.
    pub(super) fn new(passed: u64, now: Instant) -> Self {
        Self {
            wait: Some(now),
            passed,
            window: None,
            watched: Watched {
                since: now,
                passed,
                waited: Duration::ZERO,
            },
        }
    }

    /// It waits for the backend's credit, after so many bytes in all. The least round trip is `rtt`.
    pub(super) fn waits(&mut self, passed: u64, now: Instant, rtt: Duration) -> Option<Limit> {
        if self.wait.is_some() && passed == self.passed {
            return None;
        }
        let waited = self
            .wait
            .replace(now)
            .map_or(Duration::ZERO, |since| now - since);
        let before = std::mem::replace(&mut self.passed, passed);
        if rtt < FAR {
            return None;
        }
        let Some(window) = self.window else {
            if waited >= rtt / 2 {
                self.window = Some(before);
                self.watched = Watched::from(now, passed);
            }
            return None;
        };
        self.watched.waited += waited;
        let watched = now - self.watched.since;
        if watched < WATCHED {
            return None;
        }
        let went = passed - self.watched.passed;
        let is_waiting = self.watched.waited > watched / 2;
        self.watched = Watched::from(now, passed);
        let limit = window as f64 / rtt.as_secs_f64();
        let share = went as f64 / watched.as_secs_f64() / limit;
        let is_window = window < SEND_BUFFER as u64 && RATE.0 <= share && share <= RATE.1;
        (is_waiting && is_window).then_some(Limit {
            window,
            rate: limit,
        })
    }

    /// It waits for nothing but its caller.
    pub(super) fn flows(&mut self) {
        self.wait = None;
    }
}

impl Watched {
    fn from(since: Instant, passed: u64) -> Self {
        Self {
            since,
            passed,
            waited: Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: u64 = 65_535;
    const RTT: Duration = Duration::from_millis(50);

    /// What is said of an upload of 10 s, which gets credit for `credit` bytes after each `wait`.
    fn said(window: u64, credit: u64, wait: Duration, rtt: Duration) -> Option<Limit> {
        let begun = Instant::now();
        let (mut now, mut passed) = (begun, window);
        let mut narrow = Narrow::new(passed, now);
        while now - begun < Duration::from_secs(10) {
            now += wait;
            passed += credit;
            if let Some(limit) = narrow.waits(passed, now, rtt) {
                return Some(limit);
            }
        }
        None
    }

    #[test]
    fn a_slow_backend_is_not_taken_for_a_small_window() {
        // It takes twice as long as the way there.
        assert_eq!(said(WINDOW, WINDOW, RTT * 2, RTT), None);
        // It takes a little at a time, and often.
        assert_eq!(said(WINDOW, 10_000, RTT / 4, RTT), None);
        assert_eq!(said(WINDOW, 100, RTT, RTT), None);
    }

    #[test]
    fn neither_is_a_link_nor_a_window_that_grows() {
        // h2's own buffer was full.
        assert_eq!(said(SEND_BUFFER as u64, SEND_BUFFER as u64, RTT, RTT), None);
        assert_eq!(said(WINDOW, 1_000_000, RTT, RTT), None);
        assert_eq!(said(WINDOW, 16_384, RTT / 100, RTT), None);
        let near = Duration::from_millis(4);
        assert_eq!(said(WINDOW, WINDOW, near, near), None);
    }

    #[test]
    fn who_waits_for_the_caller_does_not_wait_for_the_backend() {
        let begun = Instant::now();
        let mut narrow = Narrow::new(WINDOW, begun);
        for n in 1..200 {
            let at = begun + RTT * n;
            let passed = WINDOW * u64::from(n + 1);
            narrow.flows();
            assert_eq!(narrow.waits(passed, at, RTT), None);
        }
    }

    #[test]
    fn a_window_in_each_round_trip_is_one_that_limits() {
        let limit = said(WINDOW, WINDOW, RTT, RTT).unwrap();
        assert_eq!(limit.window, WINDOW);
        assert!(
            (1_310_000.0..1_311_000.0).contains(&limit.rate),
            "{limit:?}"
        );
        // Whatever works on the way takes a little, and credit comes in halves.
        assert!(said(WINDOW, WINDOW, RTT * 5 / 4, RTT).is_some());
        assert!(said(WINDOW, WINDOW / 2, RTT / 2, RTT).is_some());
    }
}
