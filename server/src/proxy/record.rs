//! What is known of calls while they run, and what is said of them when they ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::Instant;

use super::forward::Ending;

/// Calls in flight over the whole process.
#[derive(Debug, Default)]
pub(crate) struct Record {
    in_flight: AtomicUsize,
}

impl Record {
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts a call for as long as the guard lives, however it ends.
    pub(crate) fn start(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight {
            record: Arc::clone(self),
            started: Instant::now(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct InFlight {
    record: Arc<Record>,
    started: Instant,
}

impl InFlight {
    /// Says how the call ended. Metadata and messages are never logged.
    pub(crate) fn ended(&self, method: &str, ending: &Ending) {
        let took = self.started.elapsed();
        let method = method.escape_debug();
        match ending {
            Ending::Complete => tracing::debug!(rpc.method = %method, ?took, "call complete"),
            Ending::CallerGone => tracing::debug!(rpc.method = %method, ?took, "caller gone"),
            Ending::Failed(failure) => {
                tracing::debug!(rpc.method = %method, ?took, reason = failure.reason(), "call failed");
            }
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.record.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
