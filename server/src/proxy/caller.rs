//! What the calls of one caller connection share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::edge::places::CallerId;
use crate::windows::Holdings;

#[derive(Debug)]
pub(crate) struct Caller {
    id: CallerId,
    holdings: Holdings,
    bulk: AtomicBool,
    calls: AtomicUsize,
    /// Microseconds, 0 before the first is known.
    rtt: AtomicU64,
}

impl Caller {
    pub(crate) fn new(id: CallerId) -> Self {
        Self {
            id,
            holdings: Holdings::default(),
            bulk: AtomicBool::new(false),
            calls: AtomicUsize::new(0),
            rtt: AtomicU64::new(0),
        }
    }

    /// Which connection this is, among all of this process.
    pub(crate) fn id(&self) -> CallerId {
        self.id
    }

    /// Bytes that calls of this connection received and could not pass on yet.
    pub(crate) fn holdings(&self) -> &Holdings {
        &self.holdings
    }

    /// A call begins. The owner of the connection is woken when the last one has ended.
    pub(crate) fn call(self: &Arc<Self>) -> OneCall {
        self.calls.fetch_add(1, Ordering::Relaxed);
        OneCall(Arc::clone(self))
    }

    /// Whether no call is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.calls.load(Ordering::Acquire) == 0
    }

    /// A call of this connection uploads much: its windows may grow.
    pub(crate) fn promote(&self) {
        if !self.bulk.swap(true, Ordering::Relaxed) {
            self.holdings.wake();
        }
    }

    /// Smallest round trip so far, zero before the first is known.
    pub(crate) fn rtt(&self) -> Duration {
        Duration::from_micros(self.rtt.load(Ordering::Relaxed))
    }

    /// Takes one round trip into account.
    pub(crate) fn measured(&self, rtt: Duration) {
        let known = self.rtt();
        if known.is_zero() || rtt < known {
            let micros = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX);
            self.rtt.store(micros.max(1), Ordering::Relaxed);
        }
    }

    pub(crate) fn is_bulk(&self) -> bool {
        self.bulk.load(Ordering::Relaxed)
    }
}

/// A call that is under way.
#[derive(Debug)]
pub(crate) struct OneCall(Arc<Caller>);

impl Drop for OneCall {
    fn drop(&mut self) {
        if self.0.calls.fetch_sub(1, Ordering::Release) == 1 {
            self.0.holdings.wake();
        }
    }
}
