//! How much of a connection's window its calls hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;

use futures::task::AtomicWaker;

/// What a connection may receive beyond what its calls hold.
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// Changes of the held bytes smaller than this wake nobody.
const STEP: usize = 256 * 1024;

/// Bytes that the calls of one connection received and could not pass on yet.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    held: AtomicUsize,
    /// The step at which the connection was told last.
    told: AtomicUsize,
    received: AtomicU64,
    bulk_calls: AtomicUsize,
    owner: AtomicWaker,
}

impl Holdings {
    pub(crate) fn add(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
        let held = self.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.tell(held);
    }

    pub(crate) fn remove(&self, bytes: usize) {
        let held = self.held.fetch_sub(bytes, Ordering::Relaxed) - bytes;
        self.tell(held);
    }

    fn tell(&self, held: usize) {
        let step = held.div_ceil(STEP);
        if step != self.told.load(Ordering::Relaxed) {
            self.told.store(step, Ordering::Relaxed);
            self.owner.wake();
        }
    }

    /// The owner of the connection is woken when [`Holdings::target`] changes.
    pub(crate) fn register(&self, owner: &Waker) {
        self.owner.register(owner);
    }

    /// Wakes the owner.
    pub(crate) fn wake(&self) {
        self.owner.wake();
    }

    /// The connection window that keeps the base free.
    pub(crate) fn target(&self, stream_window: u32) -> u32 {
        let held = self.held.load(Ordering::Relaxed).div_ceil(STEP) * STEP;
        let target = held.saturating_add(CONNECTION_WINDOW.max(stream_window) as usize);
        u32::try_from(target)
            .unwrap_or(u32::MAX)
            .min(i32::MAX as u32)
    }

    /// A call begins to move much.
    pub(crate) fn bulk_call(self: &Arc<Self>) -> BulkCall {
        self.bulk_calls.fetch_add(1, Ordering::Relaxed);
        BulkCall(Arc::clone(self))
    }

    /// Calls that move much now.
    pub(crate) fn bulk_calls(&self) -> usize {
        self.bulk_calls.load(Ordering::Relaxed)
    }

    /// Bytes received since the beginning.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

/// A call that moves much, until it ends.
#[derive(Debug)]
pub(crate) struct BulkCall(Arc<Holdings>);

impl Drop for BulkCall {
    fn drop(&mut self) {
        self.0.bulk_calls.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::STREAM_WINDOW;
    use super::*;

    #[test]
    fn what_is_held_never_comes_out_of_the_base() {
        let holdings = Holdings::default();
        assert_eq!(holdings.target(STREAM_WINDOW), CONNECTION_WINDOW);
        holdings.add(64 * 256 * 1024);
        assert_eq!(
            holdings.target(STREAM_WINDOW),
            CONNECTION_WINDOW + 64 * 256 * 1024
        );
        holdings.remove(64 * 256 * 1024);
        assert_eq!(holdings.target(STREAM_WINDOW), CONNECTION_WINDOW);
    }
}
