//! When a cancelled call may be reset on its lane.
//!
//! A burst of RST_STREAM kills the connection that a backend shares among its calls: h2-based servers count resets of
//! streams that their application has not accepted yet, and end the connection at the 21st. No round trip proves
//! acceptance, because such a server reads all its input before it accepts one stream. What proves it is a response
//! header on the same or a *later* stream: acceptance is first in, first out.
//!
//! So a reset goes out at once when its stream is proved, or while few unproved ones are out; else the stream is held.
//! Held streams are released by proof, or, when the backend answers nothing, by two round trips of a harmless frame
//! (SETTINGS) that are some time (`lag`) apart: a backend that reads its input and still answers that much later has
//! accepted what came before. A frozen backend stops that clock by itself, which a plain delay would not.
//!
//! Backends that count all resets are another matter: what they bear is a [`Budget`], and a stream is also held while
//! none of it is left.
//!
//! *Source:* `recv_reset` and `next_incoming` of the h2 crate; measured against backends on tonic, grpc-go, C++,
//! Python, Node and Java.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use h2::Reason;
use tokio::time::Instant;

use super::budget::{Budget, Room};
use super::tolerance::Tolerance;

/// Between two looks for an acknowledgement.
const RETRY: Duration = Duration::from_millis(5);
/// Unproved and held streams together, above which a lane with held streams takes no new call.
const OPEN_MAX: usize = 80;

/// The state of one lane. `H` is what keeps a held stream alive.
#[derive(Debug)]
pub(crate) struct Gate<H> {
    /// Highest stream id proved accepted.
    accepted: u32,
    /// Highest stream id opened.
    opened: u32,
    /// Open streams above `accepted`.
    unaccepted: BTreeSet<u32>,
    /// Resets that went out unproved.
    unproved: VecDeque<u32>,
    /// Oldest first.
    held: VecDeque<(u32, H)>,
    marker: Marker,
    budget: Budget,
    /// The lane ended: nothing is held any more.
    over: bool,
}

/// What became of a held stream meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meanwhile {
    Nothing,
    /// Response headers came.
    Answered,
    /// It ended by itself.
    Ended,
}

/// Where the round trips stand. A marker cannot be seen acknowledged but by sending the next one, so the one that is
/// sent in looking counts for nothing.
#[derive(Debug, Clone, Copy)]
enum Marker {
    /// Nothing is held.
    Idle,
    /// A marker is out.
    Sent {
        /// Highest stream opened before this marker.
        covers: u32,
        /// Highest stream opened before the marker that was acknowledged a lag before this one was sent.
        candidate: Option<u32>,
        look_at: Instant,
    },
    /// A marker was acknowledged; the next one is due at `send_at`.
    Acknowledged { candidate: u32, send_at: Instant },
}

impl<H> Gate<H> {
    pub(crate) fn new(budget: Budget) -> Self {
        Self {
            accepted: 0,
            opened: 0,
            unaccepted: BTreeSet::new(),
            unproved: VecDeque::new(),
            held: VecDeque::new(),
            marker: Marker::Idle,
            budget,
            over: false,
        }
    }

    /// A stream was opened.
    pub(crate) fn opened(&mut self, id: u32) {
        self.opened = self.opened.max(id);
        self.unaccepted.insert(id);
        self.budget.started();
    }

    /// A stream ended by itself.
    pub(crate) fn ended(&mut self, id: u32) {
        self.unaccepted.remove(&id);
    }

    /// Response headers came on a stream: it and all before it were accepted. Then see [`Gate::release`].
    pub(crate) fn answered(&mut self, id: u32) {
        if id <= self.accepted {
            return;
        }
        self.accepted = id;
        self.unaccepted = self.unaccepted.split_off(&(id + 1));
    }

    /// A stream is cancelled: gives `handle` back when it may be reset now, and keeps it otherwise.
    pub(crate) fn cancel(&mut self, id: u32, handle: H, now: Instant) -> Option<H> {
        let in_turn = id <= self.accepted || self.held.is_empty();
        if self.over || (in_turn && self.may_reset(id, now)) {
            return Some(handle);
        }
        self.held.push_back((id, handle));
        None
    }

    /// The next held stream that may be reset now.
    pub(crate) fn release(&mut self, now: Instant) -> Option<H> {
        let (id, _) = self.held.front()?;
        let id = *id;
        if !self.may_reset(id, now) {
            return None;
        }
        self.held.pop_front().map(|(_, handle)| handle)
    }

    /// Whether `id` may be reset now; if so, it is.
    fn may_reset(&mut self, id: u32, now: Instant) -> bool {
        if !self.is_safe(id) || !self.budget.take(now) {
            return false;
        }
        if id > self.accepted {
            self.unproved.push_back(id);
            self.unaccepted.remove(&id);
        }
        true
    }

    /// Whether a reset of `id` is among the unproved ones that any backend bears, or proved.
    fn is_safe(&mut self, id: u32) -> bool {
        let accepted = self.accepted;
        self.unproved.retain(|unproved| *unproved > accepted);
        id <= accepted || self.unproved.len() < self.budget.tolerance().credit
    }

    /// When a held stream may be reset that waits for nothing but the budget.
    pub(crate) fn refill_at(&mut self) -> Option<Instant> {
        let (id, _) = self.held.front()?;
        let id = *id;
        self.is_safe(id).then(|| self.budget.next_at())?
    }

    /// Asks what became of each held stream. One that ended needs no reset any more; an answer proves as much as any.
    pub(crate) fn look_after_held(&mut self, mut look: impl FnMut(&mut H) -> Meanwhile) {
        let unaccepted = &mut self.unaccepted;
        let mut answered = None;
        self.held.retain_mut(|(id, handle)| {
            let meanwhile = look(handle);
            match meanwhile {
                Meanwhile::Nothing => {}
                Meanwhile::Answered => answered = answered.max(Some(*id)),
                Meanwhile::Ended => {
                    unaccepted.remove(id);
                }
            }
            meanwhile != Meanwhile::Ended
        });
        if let Some(id) = answered {
            self.answered(id);
        }
    }

    /// The stream that is held longest.
    pub(crate) fn first_held(&self) -> Option<&H> {
        self.held.front().map(|(_, handle)| handle)
    }

    /// Streams held now.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// Takes out all held streams: the lane is over, and holds none from here on.
    pub(crate) fn clear(&mut self) -> VecDeque<(u32, H)> {
        self.over = true;
        std::mem::take(&mut self.held)
    }

    /// Whether the lane may take a new call beside `open` ones. While streams are held, the queue belongs in front of
    /// the lane and not into the backend.
    pub(crate) fn room(&mut self, open: usize, now: Instant) -> Room {
        if !self.held.is_empty() && self.unaccepted.len() >= OPEN_MAX {
            return Room::Gated;
        }
        self.budget.room(open, now)
    }

    /// What is to be learnt if the backend ends the lane with `reason` now.
    pub(crate) fn lesson(&self, reason: Reason, now: Instant) -> Option<Tolerance> {
        self.budget.lesson(reason, now)
    }

    /// When to try to send a marker, while one is wanted.
    pub(crate) fn marker_at(&mut self, now: Instant) -> Option<Instant> {
        let first = self.held.front().map(|(id, _)| *id);
        if first.is_none_or(|id| id <= self.accepted) {
            self.marker = Marker::Idle;
            return None;
        }
        Some(match self.marker {
            Marker::Idle => now,
            Marker::Sent { look_at, .. } => look_at,
            Marker::Acknowledged { send_at, .. } => send_at,
        })
    }

    /// What became of trying to send a marker: it was `sent`, which proves that the one before it was acknowledged,
    /// or that one is still out.
    pub(crate) fn marker_tried(&mut self, now: Instant, sent: bool) {
        self.marker = match (self.marker, sent) {
            (Marker::Idle, true) => Marker::Sent {
                covers: self.opened,
                candidate: None,
                look_at: now + RETRY,
            },
            // Somebody else's SETTINGS are still out: look again.
            (Marker::Idle, false) => Marker::Acknowledged {
                candidate: 0,
                send_at: now + RETRY,
            },
            (
                Marker::Sent {
                    covers, candidate, ..
                },
                true,
            ) => {
                if let Some(accepted) = candidate {
                    self.answered(accepted);
                }
                Marker::Acknowledged {
                    candidate: covers,
                    send_at: now + self.budget.tolerance().lag,
                }
            }
            (
                Marker::Sent {
                    covers, candidate, ..
                },
                false,
            ) => Marker::Sent {
                covers,
                candidate,
                look_at: now + RETRY,
            },
            (Marker::Acknowledged { candidate, .. }, true) => Marker::Sent {
                covers: self.opened,
                candidate: Some(candidate),
                look_at: now + RETRY,
            },
            (Marker::Acknowledged { candidate, .. }, false) => Marker::Acknowledged {
                candidate,
                send_at: now + RETRY,
            },
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDIT: usize = Tolerance::UNCOUNTED.credit;
    const LAG: Duration = Tolerance::UNCOUNTED.lag;

    fn opened(streams: u32) -> Gate<u32> {
        with(Tolerance::UNCOUNTED, streams)
    }

    fn with(tolerance: Tolerance, streams: u32) -> Gate<u32> {
        let mut gate = Gate::new(Budget::new(tolerance, Instant::now()));
        for n in 0..streams {
            gate.opened(2 * n + 1);
        }
        gate
    }

    fn cancel_all(gate: &mut Gate<u32>, streams: u32) -> usize {
        let now = Instant::now();
        (0..streams)
            .filter(|n| gate.cancel(2 * n + 1, 2 * n + 1, now).is_some())
            .count()
    }

    fn release(gate: &mut Gate<u32>) -> Option<u32> {
        gate.release(Instant::now())
    }

    #[test]
    fn unproved_resets_stay_below_the_limit_of_h2() {
        let mut gate = opened(1_000);
        assert_eq!(cancel_all(&mut gate, 1_000), CREDIT);
        assert_eq!(gate.held(), 1_000 - CREDIT);
        assert_eq!(release(&mut gate), None);
    }

    #[test]
    fn an_answer_proves_the_streams_before_it() {
        let mut gate = opened(100);
        cancel_all(&mut gate, 50);
        gate.answered(2 * 40 + 1);
        let released = std::iter::from_fn(|| release(&mut gate)).count();
        // 41 are proved; the rest of the 50 fit the credit.
        assert_eq!(released, 50 - CREDIT);
        assert_eq!(gate.held(), 0);
    }

    #[test]
    fn a_proved_stream_is_reset_at_once() {
        let mut gate = opened(100);
        gate.answered(199);
        assert_eq!(cancel_all(&mut gate, 100), 100);
    }

    #[test]
    fn one_round_trip_proves_nothing_and_two_spaced_ones_do() {
        let mut gate = opened(100);
        cancel_all(&mut gate, 100);
        let mut now = Instant::now();
        let start = now;
        let mut tries = 0;
        // A backend that acknowledges at once.
        while release(&mut gate).is_none() {
            now = gate.marker_at(now).unwrap();
            gate.marker_tried(now, true);
            tries += 1;
            assert!(tries < 10);
        }
        assert!(now - start >= LAG, "{:?}", now - start);
        assert!(now - start <= LAG + 2 * RETRY, "{:?}", now - start);
    }

    #[test]
    fn a_frozen_backend_stops_the_clock() {
        let mut gate = opened(100);
        cancel_all(&mut gate, 100);
        let mut now = Instant::now();
        gate.marker_tried(now, true);
        for _ in 0..1_000 {
            now = gate.marker_at(now).unwrap();
            gate.marker_tried(now, false);
        }
        assert_eq!(release(&mut gate), None);
    }

    #[test]
    fn a_lane_with_held_streams_takes_calls_only_below_the_cap() {
        let mut gate = opened(200);
        let now = Instant::now();
        assert_eq!(gate.room(200, now), Room::Free, "nothing is held");
        cancel_all(&mut gate, 100);
        assert_eq!(gate.room(200, now), Room::Gated);
        for n in 0..200 {
            gate.ended(2 * n + 1);
        }
        assert_eq!(gate.room(84, now), Room::Free);
    }

    #[test]
    fn the_answer_of_a_held_stream_is_proof_too() {
        let mut gate = opened(100);
        cancel_all(&mut gate, 100);
        gate.look_after_held(|id| match *id {
            81 => Meanwhile::Answered,
            _ => Meanwhile::Nothing,
        });
        // Everything up to 81, and from there on as many as the credit allows.
        assert_eq!(
            std::iter::from_fn(|| release(&mut gate)).last(),
            Some(81 + 2 * 16)
        );
    }

    #[test]
    fn a_lane_that_ended_holds_nothing() {
        let mut gate = opened(100);
        cancel_all(&mut gate, 50);
        gate.clear();
        assert_eq!(gate.cancel(199, 199, Instant::now()), Some(199));
        assert_eq!(gate.held(), 0);
    }

    #[test]
    fn proved_streams_wait_for_the_budget_and_ask_for_no_markers() {
        let mut gate = with(Tolerance::of_settings(&[]), 1_000);
        gate.answered(1_999);
        assert_eq!(cancel_all(&mut gate, 1_000), 900);
        assert_eq!(release(&mut gate), None);
        assert_eq!(gate.marker_at(Instant::now()), None);
        let refill = gate.refill_at().unwrap();
        assert_eq!(gate.release(refill), Some(1_801));
        assert_eq!(gate.release(refill), None);
    }

    #[test]
    fn what_is_not_proved_does_not_wait_for_the_budget_alone() {
        let mut gate = with(Tolerance::of_settings(&[]), 100);
        cancel_all(&mut gate, 100);
        assert_eq!(gate.refill_at(), None);
        assert!(gate.marker_at(Instant::now()).is_some());
    }

    #[test]
    fn a_held_stream_that_ends_by_itself_needs_no_reset() {
        let mut gate = opened(40);
        cancel_all(&mut gate, 40);
        gate.look_after_held(|_| Meanwhile::Ended);
        assert_eq!(gate.held(), 0);
        assert_eq!(gate.marker_at(Instant::now()), None);
    }
}
