//! For how long, and how many.

use std::time::Duration;

use grpc_multiplexer_process::{Reader, count, duration};

/// Which calls wait for an edge that is away, how long, and how many of them.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WaitSettings {
    /// How long a call waits for its edge to come back; none does with 0. Default 5 s: an edge whose tunnel broke is back
    /// in less.
    pub reconnect_wait: Duration,
    /// How long an edge that left counts as away, and not as unknown. Default 24 h.
    pub remember_edges: Duration,
    /// How long after its start every edge counts as away to a server, which cannot know yet who will come. Default 30 s:
    /// as long as an edge may take to dial again.
    pub warm_up: Duration,
    /// Calls that may wait at a time. Default 10,000: some hundred megabytes where each has a message with it.
    pub max_waiting_calls: usize,
    /// Calls that may wait for one edge, and no more than have a place or a turn on it once it is back; those of callers who may
    /// not know whether it was here are counted apart. Default 1,000.
    pub max_waiting_calls_per_edge: usize,
}

impl Default for WaitSettings {
    fn default() -> Self {
        Self {
            reconnect_wait: Duration::from_secs(5),
            remember_edges: Duration::from_secs(24 * 60 * 60),
            warm_up: Duration::from_secs(30),
            max_waiting_calls: 10_000,
            max_waiting_calls_per_edge: 1_000,
        }
    }
}

impl WaitSettings {
    /// Reads the options that say so. Mistakes are kept by `reader`.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let reconnect_wait = reader.one("reconnect-wait", duration);
        let remember_edges = reader.one("remember-edges", duration);
        let warm_up = reader.one("warm-up", duration);
        let max_waiting_calls = reader.one("max-waiting-calls", count(1..=1_000_000));
        let max_waiting_calls_per_edge =
            reader.one("max-waiting-calls-per-edge", count(1..=1_000_000));
        Some(Self {
            reconnect_wait: reconnect_wait?,
            remember_edges: remember_edges?,
            warm_up: warm_up?,
            max_waiting_calls: max_waiting_calls?,
            max_waiting_calls_per_edge: max_waiting_calls_per_edge?,
        })
    }
}
