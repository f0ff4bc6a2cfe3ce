//! One lane: an HTTP/2 connection to the backend, over one stream of the tunnel.
//!
//! Calls share it through [`Lane`]; one task alone polls the connection, grows its windows and lets cancelled streams
//! go. The server never sends an HTTP/2 PING here: it would reach the backend, and backends count pings as abuse.

mod dial;
mod stream;
mod task;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::sync::SetOnce;

use super::gate::Gate;
use crate::windows::Holdings;
use stream::Held;

pub(crate) use dial::DialFailure;
pub(crate) use stream::{LaneStream, StreamError};
pub(crate) use task::LaneTask;

/// Calls on one lane at a time, if the backend allows as many.
pub(crate) const CALLS: usize = 256;

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
    bulk: AtomicBool,
    closing: AtomicBool,
    gate: Mutex<Gate<Held>>,
    holdings: Holdings,
    end: SetOnce<LaneEnd>,
}

impl Lane {
    fn new(sender: SendRequest<Bytes>) -> Self {
        Self {
            sender: Mutex::new(Some(sender)),
            calls: AtomicUsize::new(0),
            bulk: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            gate: Mutex::new(Gate::new()),
            holdings: Holdings::default(),
            end: SetOnce::new(),
        }
    }

    /// Whether a new call can start here.
    pub(crate) fn takes_calls(&self) -> bool {
        let mut sender = lock(&self.sender);
        let Some(sender) = sender.as_mut() else {
            return false;
        };
        // After a GOAWAY the calls it spares go on, but a new one would be thrown back, and its one retry with it.
        let mut nobody = Context::from_waker(Waker::noop());
        if let Poll::Ready(Err(_)) = sender.poll_ready(&mut nobody) {
            self.retire();
            return false;
        }
        let limit = CALLS.min(sender.current_max_send_streams());
        !self.closing.load(Ordering::Relaxed) && self.calls() < limit && self.gate().takes_calls()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    pub(crate) fn call_started(&self) {
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
    pub(crate) fn holdings(&self) -> &Holdings {
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
