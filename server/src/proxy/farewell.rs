//! How callers are told to go elsewhere.
//!
//! Many a caller's library fails the call that it is about to make on a connection when a GOAWAY comes between the two,
//! and a polite one, which leaves time for calls that are under way, makes that gap longer: the connection is no good for
//! new calls from the GOAWAY on, and the library learns it with the next of them, or when the connection ends. So a
//! connection is ended whole in the moment in which its last call has, together with the answer: a caller that makes one
//! call after the other can have made no other meanwhile. Of a caller that keeps a pace a moment is preferred that is long
//! before its next call. A call that crosses the farewell all the same is above its last id, which proves it unprocessed.
//!
//! A connection that gets no such moment, or had no call so far and may be about to, is told in two steps after a while:
//! that no more calls are wanted, and then which was the last. One with calls under way all the time is given longer, as
//! those must end anyway, and of hyper's callers, tonic's among them, the polite way costs each connection a call.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use h2::Reason;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::listener::H2;
use crate::rewind::Written;
use crate::settings::Live;

/// How long a good moment is waited for where there is no call. Below what connections get to end once all calls have.
const MOMENT: Duration = Duration::from_millis(1500);
/// After this any moment without a call will do.
const ANY: Duration = Duration::from_secs(1);
/// How long such a moment is waited for at most; half of what calls have to end, if that is less.
const BUSY: Duration = Duration::from_secs(10);

/// Without a call for this long, a connection is not in use, and any moment is good.
const UNUSED: Duration = Duration::from_secs(1);
/// How long after an answer the connection still ends together with it: no caller can have called again by then.
const WITH_THE_ANSWER: Duration = Duration::from_micros(100);

/// How long a caller's system takes a farewell's bytes for, at most, and hands them to the caller.
const HEARD: Duration = Duration::from_millis(500);

/// The farewell to one caller connection.
pub(super) struct Farewell<'a> {
    settings: &'a Live,
    /// What became of the last answer.
    written: Written,
    pace: Option<Pace>,
    /// Whether calls were under way when it was last looked for them.
    was_busy: bool,
    state: State,
}

enum State {
    /// The caller is welcome, until then.
    NotDue(Pin<Box<WaitForCancellationFutureOwned>>),
    /// The next good moment is taken.
    Due {
        since: Instant,
        until: Pin<Box<Sleep>>,
        /// The same where calls are under way then.
        at_most: Instant,
    },
    Said {
        /// Whether the connection ended with it.
        whole: bool,
    },
}

impl<'a> Farewell<'a> {
    /// Callers are to go elsewhere once `drain` is cancelled.
    pub(super) fn new(drain: CancellationToken, written: Written, settings: &'a Live) -> Self {
        Self {
            settings,
            written,
            pace: None,
            was_busy: false,
            state: State::NotDue(Box::pin(drain.cancelled_owned())),
        }
    }

    /// A call came.
    pub(super) fn call_came(&mut self) {
        let now = Instant::now();
        self.was_busy = true;
        self.pace = Some(Pace {
            last: now,
            gap: self
                .pace
                .as_ref()
                .map_or(Duration::MAX, |pace| pace.with(now)),
        });
    }

    /// To be called when the connection was polled and has nothing to do; `was_idle` says whether before that no call was
    /// under way. Ready when it has now: the farewell was said.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        was_idle: bool,
        connection: &mut H2,
    ) -> Poll<()> {
        let has_answered = std::mem::replace(&mut self.was_busy, !was_idle) && was_idle;
        if let State::NotDue(drain) = &mut self.state {
            ready!(drain.as_mut().poll(cx));
            self.state = self.due();
        }
        let State::Due {
            since,
            until,
            at_most,
        } = &mut self.state
        else {
            return Poll::Pending;
        };
        let now = Instant::now();
        let any = now - *since > ANY;
        let answered = has_answered && self.written.within(WITH_THE_ANSWER);
        let good =
            |pace: &Pace| any || now - pace.last > UNUSED || answered && pace.is_far_from_next(now);
        if was_idle && !self.written.is_stuck() && self.pace.as_ref().is_some_and(good) {
            connection.abrupt_shutdown(Reason::NO_ERROR);
            self.state = State::Said { whole: true };
        } else {
            ready!(until.as_mut().poll(cx));
            if !was_idle && until.deadline() < *at_most {
                until.as_mut().reset(*at_most);
                ready!(until.as_mut().poll(cx));
            }
            connection.graceful_shutdown();
            self.state = State::Said { whole: false };
        }
        Poll::Ready(())
    }

    fn due(&self) -> State {
        let since = Instant::now();
        let calls_have = self.settings.now(|settings| settings.drain_timeout);
        State::Due {
            since,
            until: Box::pin(sleep(MOMENT)),
            at_most: since + BUSY.min(calls_have / 2),
        }
    }

    /// Waits until the caller has most likely heard a farewell that ended the connection.
    pub(super) async fn heard(&self) {
        if let State::Said { whole: true } = self.state {
            sleep(HEARD).await;
        }
    }
}

/// When calls come.
struct Pace {
    last: Instant,
    /// Between two of them, lately.
    gap: Duration,
}

impl Pace {
    /// The gap, seen by the next call.
    fn with(&self, next: Instant) -> Duration {
        let gap = next - self.last;
        if self.gap == Duration::MAX {
            gap
        } else {
            (self.gap * 3 + gap) / 4
        }
    }

    fn is_far_from_next(&self, now: Instant) -> bool {
        now - self.last < self.gap / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_soon_after_a_call_is_far_from_the_next() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let mut pace = Pace {
            last: start,
            gap: Duration::MAX,
        };
        // Of one call nothing is known but that it came.
        assert!(pace.is_far_from_next(after(50)));
        for call in 1..=5 {
            pace = Pace {
                last: after(call * 100),
                gap: pace.with(after(call * 100)),
            };
        }
        assert!(pace.is_far_from_next(after(549)));
        assert!(!pace.is_far_from_next(after(551)));
    }
}
