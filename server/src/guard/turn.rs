//! How many streams a peer may begin before those it began are taken.
//!
//! h2 reads all the input there is before it hands out the first stream that came with it. So a caller that begins
//! calls and cancels them at once, as one in a hurry to stop does, would have thousands cancelled before one was taken,
//! and h2 ends a connection for that; and one that never stops would keep everything else of its connection waiting.
//! Therefore the guard stops reading after so many, until all that began were taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Streams of one turn, and what came in the same piece with the last.
const STREAMS: usize = 64;

#[derive(Debug, Clone, Default)]
pub(crate) struct Turn(Arc<AtomicUsize>);

impl Turn {
    /// The peer began a stream.
    pub(super) fn begun(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether nothing is read until the turn is over.
    pub(super) fn is_full(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= STREAMS
    }

    /// All streams that began were taken. Says whether reading stopped for it, and should be tried again.
    pub(crate) fn is_over(&self) -> bool {
        self.0.swap(0, Ordering::Relaxed) >= STREAMS
    }
}
