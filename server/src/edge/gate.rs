//! When a cancelled call may be reset on its lane.
//!
//! A burst of RST_STREAM kills the connection that a backend shares among its calls: h2-based servers count resets of
//! streams that their application has not accepted yet, and end the connection at the 21st. No round trip proves
//! acceptance, because such a server reads all its input before it accepts one stream. What proves it is a response
//! header on the same or a *later* stream: acceptance is first in, first out.
//!
//! So a reset goes out at once when its stream is proved, or while few unproved ones are out; else the stream is held.
//! Held streams are released by proof, or, when the backend answers nothing, by two round trips of a harmless frame
//! (SETTINGS) that are at least [`LAG`] apart: a backend that reads its input and still answers that much later has
//! accepted what came before. A frozen backend stops that clock by itself, which a plain delay would not.
//!
//! *Source:* `recv_reset` and `next_incoming` of the h2 crate; measured against backends on tonic, grpc-go, C++,
//! Python, Node and Java.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// Unproved resets that may be out at a time; below h2's limit of 20.
const CREDIT: usize = 16;
/// Between the acknowledgement of one marker and the next marker.
const LAG: Duration = Duration::from_millis(20);
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
        /// Highest stream opened before the marker that was acknowledged [`LAG`] before this one was sent.
        candidate: Option<u32>,
        look_at: Instant,
    },
    /// A marker was acknowledged; the next one is due at `send_at`.
    Acknowledged { candidate: u32, send_at: Instant },
}

impl<H> Gate<H> {
    pub(crate) fn new() -> Self {
        Self {
            accepted: 0,
            opened: 0,
            unaccepted: BTreeSet::new(),
            unproved: VecDeque::new(),
            held: VecDeque::new(),
            marker: Marker::Idle,
            over: false,
        }
    }

    /// A stream was opened.
    pub(crate) fn opened(&mut self, id: u32) {
        self.opened = self.opened.max(id);
        self.unaccepted.insert(id);
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
    pub(crate) fn cancel(&mut self, id: u32, handle: H) -> Option<H> {
        if self.over || id <= self.accepted {
            return Some(handle);
        }
        if self.held.is_empty() && self.take_credit(id) {
            return Some(handle);
        }
        self.held.push_back((id, handle));
        None
    }

    /// The next held stream that may be reset now.
    pub(crate) fn release(&mut self) -> Option<H> {
        let (id, _) = self.held.front()?;
        let id = *id;
        if id > self.accepted && !self.take_credit(id) {
            return None;
        }
        self.held.pop_front().map(|(_, handle)| handle)
    }

    fn take_credit(&mut self, id: u32) -> bool {
        let accepted = self.accepted;
        self.unproved.retain(|unproved| *unproved > accepted);
        if self.unproved.len() >= CREDIT {
            return false;
        }
        self.unproved.push_back(id);
        self.unaccepted.remove(&id);
        true
    }

    /// Asks what became of each held stream. One that ended needs no reset any more; an answer proves as much as any.
    pub(crate) fn look_after_held(&mut self, mut look: impl FnMut(&mut H) -> Meanwhile) {
        let unaccepted = &mut self.unaccepted;
        let mut answered = None;
        self.held.retain_mut(|(id, handle)| {
            let meanwhile = look(handle);
            match meanwhile {
                Meanwhile::Nothing => {}
                Meanwhile::Answered => answered = Some(*id),
                Meanwhile::Ended => {
                    unaccepted.remove(id);
                }
            }
            meanwhile != Meanwhile::Ended
        });
        // Oldest first, so the last is the highest.
        if let Some(id) = answered {
            self.answered(id);
        }
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

    /// Whether the lane may take a new call. While streams are held, the queue belongs in front of the lane and not
    /// into the backend.
    pub(crate) fn takes_calls(&self) -> bool {
        self.held.is_empty() || self.unaccepted.len() < OPEN_MAX
    }

    /// When to try to send a marker, while one is wanted.
    pub(crate) fn marker_at(&mut self, now: Instant) -> Option<Instant> {
        if self.held.is_empty() {
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
                    send_at: now + LAG,
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

    fn opened(streams: u32) -> Gate<u32> {
        let mut gate = Gate::new();
        for n in 0..streams {
            gate.opened(2 * n + 1);
        }
        gate
    }

    fn cancel_all(gate: &mut Gate<u32>, streams: u32) -> usize {
        (0..streams)
            .filter(|n| gate.cancel(2 * n + 1, 2 * n + 1).is_some())
            .count()
    }

    #[test]
    fn unproved_resets_stay_below_the_limit_of_h2() {
        let mut gate = opened(1_000);
        assert_eq!(cancel_all(&mut gate, 1_000), CREDIT);
        assert_eq!(gate.held(), 1_000 - CREDIT);
        assert_eq!(gate.release(), None);
    }

    #[test]
    fn an_answer_proves_the_streams_before_it() {
        let mut gate = opened(100);
        cancel_all(&mut gate, 50);
        gate.answered(2 * 40 + 1);
        let released = std::iter::from_fn(|| gate.release()).count();
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
        while gate.release().is_none() {
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
        assert_eq!(gate.release(), None);
    }

    #[test]
    fn a_lane_with_held_streams_takes_calls_only_below_the_cap() {
        let mut gate = opened(200);
        assert!(gate.takes_calls(), "nothing is held");
        cancel_all(&mut gate, 100);
        assert!(!gate.takes_calls());
        for n in 0..200 {
            gate.ended(2 * n + 1);
        }
        assert!(gate.takes_calls());
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
            std::iter::from_fn(|| gate.release()).last(),
            Some(81 + 2 * 16)
        );
    }

    #[test]
    fn a_lane_that_ended_holds_nothing() {
        let mut gate = opened(100);
        cancel_all(&mut gate, 50);
        gate.clear();
        assert_eq!(gate.cancel(199, 199), Some(199));
        assert_eq!(gate.held(), 0);
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
