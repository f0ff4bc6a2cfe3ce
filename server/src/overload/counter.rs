//! A number of things at a time, up to a limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many there are, and may be.
#[derive(Debug)]
pub(crate) struct Counter {
    now: AtomicUsize,
    most: usize,
}

impl Counter {
    pub(crate) fn up_to(most: usize) -> Arc<Self> {
        Arc::new(Self {
            now: AtomicUsize::new(0),
            most,
        })
    }

    /// How many there are.
    pub(crate) fn now(&self) -> usize {
        self.now.load(Ordering::Relaxed)
    }

    /// Counts one more, unless that is one too many.
    pub(crate) fn one(self: &Arc<Self>) -> Option<Taken> {
        self.one_of(self.most)
    }

    /// The same with a limit of its own.
    pub(crate) fn one_of(self: &Arc<Self>, most: usize) -> Option<Taken> {
        let counted = Taken(Arc::clone(self));
        let before = self.now.fetch_add(1, Ordering::Relaxed);
        (before < most).then_some(counted)
    }
}

/// One that counts, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Taken(Arc<Counter>);

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}
