//! One lane: an HTTP/2 connection to the backend, over one stream of the tunnel.
//!
//! Calls share it through [`Lane`]; one task alone polls the connection, grows its windows and lets cancelled streams
//! go. The server never sends an HTTP/2 PING here: it would reach the backend, and backends count pings as abuse.

mod dial;
mod stream;
mod task;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::client::SendRequest;
use tokio::sync::SetOnce;
use tokio::time::Instant;

use super::budget::{Budget, Room};
use super::gate::Gate;
use super::resets::Resets;
use super::tolerance::Tolerance;
use crate::windows::Holdings;
use stream::Held;

pub(crate) use dial::DialFailure;
pub(crate) use stream::{LaneStream, StreamError};
pub(crate) use task::LaneTask;

/// Why a lane ended, as far as its calls care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LaneEnd {
    /// The backend's connection closed or broke.
    BackendLost,
    /// The backend closed it, telling us to calm down.
    BackendCalm,
    /// The tunnel went first.
    TunnelLost,
}

/// What calls share of one HTTP/2 connection.
#[derive(Debug)]
pub(crate) struct Lane {
    sender: Mutex<Option<SendRequest<Bytes>>>,
    calls: AtomicUsize,
    /// Whether it ever had one.
    used: AtomicBool,
    since: Instant,
    bulk: AtomicBool,
    closing: AtomicBool,
    gate: Mutex<Gate<Held>>,
    resets: Arc<Resets>,
    holdings: Arc<Holdings>,
    end: SetOnce<LaneEnd>,
}

impl Lane {
    fn new(sender: SendRequest<Bytes>, tolerance: Tolerance, resets: Arc<Resets>) -> Self {
        let now = Instant::now();
        let budget = Budget::new(resets.apply(tolerance, now), now);
        Self {
            sender: Mutex::new(Some(sender)),
            calls: AtomicUsize::new(0),
            used: AtomicBool::new(false),
            since: Instant::now(),
            bulk: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            gate: Mutex::new(Gate::new(budget)),
            resets,
            holdings: Arc::default(),
            end: SetOnce::new(),
        }
    }

    /// Whether a new call can start here.
    pub(crate) fn room(&self, now: Instant) -> Room {
        if self.is_over() || self.error().is_some() {
            return Room::Full;
        }
        let limit = lock(&self.sender)
            .as_ref()
            .map_or(0, SendRequest::current_max_send_streams);
        let calls = self.calls();
        if calls >= limit {
            return Room::Full;
        }
        self.gate().room(calls, now)
    }

    /// Why no call can start here any more, once that is so. After a GOAWAY the calls it spares go on, but a new one
    /// would be thrown back, and its one retry with it.
    fn error(&self) -> Option<h2::Error> {
        let mut nobody = Context::from_waker(Waker::noop());
        let ready = lock(&self.sender).as_mut()?.poll_ready(&mut nobody);
        let Poll::Ready(Err(error)) = ready else {
            return None;
        };
        self.retire();
        Some(error)
    }

    /// The backend said GOAWAY. Whatever its reason, it drains: what it spares goes on, and can still be cancelled.
    fn went_away(&self, error: &h2::Error) {
        tracing::debug!(%error, "backend goes away");
        let reason = error.reason().unwrap_or(Reason::NO_ERROR);
        self.resets.cancels().went_away(reason);
        let now = Instant::now();
        let lesson = self.gate().lesson(reason, now);
        if let Some(lesson) = lesson {
            tracing::warn!(%error, "a backend bears fewer cancelled calls than expected");
            self.resets.learn(lesson, now);
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// How long ago it was opened.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.duration_since(self.since)
    }

    /// Whether a call ever began here.
    pub(crate) fn was_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    pub(crate) fn call_started(&self) {
        self.used.store(true, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn call_ended(&self) {
        if self.calls.fetch_sub(1, Ordering::Relaxed) == 1 {
            // The task starts to wait for the lane's idle end.
            self.holdings.wake();
        }
    }

    pub(crate) fn is_bulk(&self) -> bool {
        self.bulk.load(Ordering::Relaxed)
    }

    /// A call of this lane moved much: its windows may grow, and new calls go elsewhere.
    pub(crate) fn promote(&self) {
        if !self.bulk.swap(true, Ordering::Relaxed) {
            self.holdings.wake();
        }
    }

    /// Bytes that calls of this lane received and could not pass on yet.
    pub(crate) fn holdings(&self) -> &Arc<Holdings> {
        &self.holdings
    }

    /// Takes no new call, and ends when the last one on it did.
    pub(crate) fn close(&self) {
        self.retire();
        self.holdings.wake();
    }

    /// Takes no new call; calls on it go on.
    fn retire(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// The lane ended; the first reason counts.
    fn over(&self, end: LaneEnd) {
        self.retire();
        drop(lock(&self.sender).take());
        let _ = self.end.set(end);
        let held = self.gate().clear();
        drop(held);
    }

    fn gate(&self) -> MutexGuard<'_, Gate<Held>> {
        lock(&self.gate)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while the lock is held leaves state that is still whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
