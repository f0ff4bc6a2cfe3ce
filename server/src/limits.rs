//! How much of everything there may be, each limit with its reason; enforced before anything is queued.

use std::time::Duration;

use grpc_multiplexer_process::{Reader, count, duration};

/// Above any use, so that a slip of the finger is seen.
const MOST: usize = 10_000_000;

/// How much of everything there may be at a time. The default is that of the binary's options.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// Calls on one edge. Default 4,096.
    pub calls_per_edge: usize,
    /// Calls that wait for a place on one edge. Default 256.
    pub queued_calls_per_edge: usize,
    /// How long they may wait for it. Default 1 s.
    pub queue_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls_per_edge: 4096,
            queued_calls_per_edge: 256,
            queue_timeout: Duration::from_secs(1),
        }
    }
}

impl Limits {
    /// Reads the options of [`crate::PROGRAM`] that are limits. Mistakes are kept by `reader`.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let calls_per_edge = reader.one("max-calls-per-edge", count(1..=MOST));
        let queued_calls_per_edge = reader.one("max-queued-calls-per-edge", count(0..=MOST));
        let queue_timeout = reader.one("queue-timeout", duration);
        Some(Self {
            calls_per_edge: calls_per_edge?,
            queued_calls_per_edge: queued_calls_per_edge?,
            queue_timeout: queue_timeout?,
        })
    }

    /// Those that each edge has for itself.
    pub(crate) fn per_edge(&self) -> EdgeLimits {
        EdgeLimits {
            calls: self.calls_per_edge,
            queued: self.queued_calls_per_edge,
            patience: self.queue_timeout,
        }
    }
}

/// The limits of one edge.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EdgeLimits {
    pub(crate) calls: usize,
    pub(crate) queued: usize,
    /// How long a call may wait while the edge is full.
    pub(crate) patience: Duration,
}
