//! The request's half of one call: its two windows, and what waits between them.
//!
//! The server sees the backend's own window, of which it gets back what was sent on. The round trip is in it twice then: the
//! backend's window spans the way from here, and this one the link. So it grows where the link is what limits: a whole
//! window came within about a round trip, and the backend, which would have taken more, waited for it. Where the backend
//! is slow something is always left here, and nothing grows.

use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::time::Instant;

use super::budget::{Budget, Growth};

/// A window is at least this, whatever the backend begins with: the bytes of HTTP/2's own default.
const LEAST: i64 = 65_535;
/// To so much a window grows.
const MOST: i64 = 16 * 1024 * 1024;
/// How long a window may take to come if it is to grow. It comes in little more than one round trip, and after it grew in
/// two, because the first of them still brings what the old one let out.
const TRIPS: u32 = 3;
/// What an empty buffer may keep.
const SPARE: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Upload {
    /// What the server may still send. Below 0 after the backend made its windows smaller.
    receive: i64,
    /// What the backend still takes.
    send: i64,
    held: BytesMut,
    end: Option<End>,
    growth: Growth,
    /// Bytes that went on since then.
    passed: i64,
    since: Instant,
    /// It is among those that have a turn.
    pub(super) has_turn: bool,
}

/// How the request ends.
#[derive(Debug)]
pub(super) enum End {
    Plain,
    Trailers(BytesMut),
}

impl Upload {
    /// One to a backend whose streams begin with a window of `initial`.
    pub(super) fn new(initial: i64, budget: &Budget, now: Instant) -> Self {
        Self {
            receive: initial,
            send: initial,
            held: BytesMut::new(),
            end: None,
            growth: Growth::new(budget),
            passed: 0,
            since: now,
            has_turn: false,
        }
    }

    /// The server sent DATA of so many bytes, with padding. False when it had no credit for it.
    pub(super) fn came(&mut self, bytes: i64) -> bool {
        self.receive -= bytes;
        bytes == 0 || self.receive >= 0
    }

    pub(super) fn hold(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    pub(super) fn end(&mut self, end: End) {
        self.end = Some(end);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Whether its end goes with its last bytes.
    pub(super) fn ends_plainly(&self) -> bool {
        matches!(self.end, Some(End::Plain))
    }

    /// How it ends, once all before that went on.
    pub(super) fn take_end(&mut self) -> Option<End> {
        if self.held.is_empty() {
            self.end.take()
        } else {
            None
        }
    }

    /// The backend takes so many bytes more. False when that is more than any window may be.
    pub(super) fn credit(&mut self, bytes: i64) -> bool {
        self.send += bytes;
        self.send <= i64::from(i32::MAX)
    }

    /// The windows that streams begin with changed by so much, and so does that of every stream.
    pub(super) fn shift(&mut self, by: i64) {
        self.receive += by;
        self.send += by;
    }

    /// Bytes that can go on now, if the connection lets them.
    pub(super) fn sendable(&self) -> usize {
        let room = usize::try_from(self.send).unwrap_or(0);
        room.min(self.held.len())
    }

    /// The next `bytes`, which are no more than can go on.
    pub(super) fn pass(&mut self, bytes: usize, output: &mut BytesMut) {
        output.extend_from_slice(&self.held[..bytes]);
        self.held.advance(bytes);
        self.send -= bytes as i64;
        self.passed += bytes as i64;
        if self.held.is_empty() && self.held.capacity() > SPARE {
            self.held = BytesMut::new();
        }
    }

    /// Grows the window if it is what limits, where the least round trip is `rtt`.
    pub(super) fn grow(&mut self, initial: i64, now: Instant, rtt: Duration) {
        let window = self.window(initial);
        if self.passed < window || !self.held.is_empty() || self.send <= 0 {
            return;
        }
        if now - self.since <= rtt * TRIPS && window * 2 <= MOST {
            self.growth.by(usize::try_from(window).unwrap_or(0));
        }
        (self.passed, self.since) = (0, now);
    }

    fn window(&self, initial: i64) -> i64 {
        let grown = initial.max(LEAST) + self.growth.bytes() as i64;
        grown.min(i64::from(i32::MAX))
    }

    /// What the server is to get back now: nothing as long as that is little.
    pub(super) fn owed(&mut self, initial: i64) -> Option<u32> {
        if self.end.is_some() {
            return None;
        }
        let window = self.window(initial);
        let owed = window - self.receive - self.held.len() as i64;
        let owed = u32::try_from(owed).ok().filter(|_| owed * 4 >= window)?;
        self.receive += i64::from(owed);
        Some(owed)
    }
}
