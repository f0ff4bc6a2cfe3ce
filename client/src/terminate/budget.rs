//! What the windows of calls may grow by, beyond what their backend grants.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes by which all windows of an edge may grow together.
const ALL: usize = 64 * 1024 * 1024;

/// What is left of them. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Budget(Arc<AtomicUsize>);

impl Default for Budget {
    fn default() -> Self {
        Self::of(ALL)
    }
}

impl Budget {
    pub(super) fn of(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    fn take(&self, bytes: usize) -> bool {
        let less = |left: usize| left.checked_sub(bytes);
        let taken = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        taken.is_ok()
    }

    #[cfg(test)]
    pub(super) fn left(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// By how much one window grew. Gives it back when dropped.
#[derive(Debug)]
pub(super) struct Growth {
    budget: Budget,
    bytes: usize,
}

impl Growth {
    pub(super) fn new(budget: &Budget) -> Self {
        Self {
            budget: budget.clone(),
            bytes: 0,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Grows by all of `bytes`, or not at all.
    pub(super) fn by(&mut self, bytes: usize) {
        if self.budget.take(bytes) {
            self.bytes += bytes;
        }
    }
}

impl Drop for Growth {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}
