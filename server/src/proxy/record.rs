//! What is known of calls while they run, and what is said of them when they ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use grpc_multiplexer_tunnel::ClientId;
use tokio::time::Instant;
use tracing::debug;
use tracing::field::display;

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
    pub(crate) fn ended(&self, method: &str, id: Option<&ClientId>, ending: &Ending) {
        let took = self.started.elapsed();
        let method = method.escape_debug();
        let client_id = id.map(display);
        match ending {
            Ending::Complete => debug!(rpc.method = %method, client_id, ?took, "call complete"),
            Ending::CallerGone => debug!(rpc.method = %method, client_id, ?took, "caller gone"),
            Ending::Failed(failure) => {
                let reason = failure.reason();
                debug!(rpc.method = %method, client_id, ?took, reason, "call failed");
            }
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.record.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
