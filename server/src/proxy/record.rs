//! What is known of calls while they run, and what is said of them when they ended.

use std::sync::Arc;

use grpc_multiplexer_process::Counted;
use grpc_multiplexer_tunnel::ClientId;
use tokio::time::Instant;
use tracing::debug;
use tracing::field::display;

use super::code::Code;
use super::forward::Ending;
use super::rescue::Failure;
use crate::metrics::{Metrics, Origin};

/// Calls over the whole process.
#[derive(Debug)]
pub(crate) struct Record {
    metrics: Metrics,
}

impl Record {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self { metrics }
    }

    /// Calls being served.
    pub(crate) fn in_flight(&self) -> i64 {
        self.metrics.calls_in_flight.get()
    }

    /// Counts a call that waits for its edge, for as long as the guard lives.
    pub(crate) fn waits(&self) -> Counted {
        Counted::on(&self.metrics.calls_waiting)
    }

    /// Counts a call that is sent once more.
    pub(crate) fn retried(&self, first: &Failure) {
        self.metrics.call_retried(first.reason());
        debug!(reason = first.reason(), "a call is sent once more");
    }

    /// Counts a call for as long as the guard lives, however it ends.
    pub(crate) fn start(self: &Arc<Self>) -> InFlight {
        InFlight {
            record: Arc::clone(self),
            started: Instant::now(),
            _counted: Counted::on(&self.metrics.calls_in_flight),
        }
    }
}

#[derive(Debug)]
pub(crate) struct InFlight {
    record: Arc<Record>,
    started: Instant,
    _counted: Counted,
}

impl InFlight {
    /// Says how the call ended. Metadata and messages are never logged.
    pub(crate) fn ended(&self, method: &str, id: Option<&ClientId>, ending: &Ending) {
        let took = self.started.elapsed();
        let metrics = &self.record.metrics;
        let method = method.escape_debug();
        let client_id = id.map(display);
        match ending {
            Ending::Complete(code) => {
                let origin = id.map_or(Origin::Server, |_| Origin::Backend);
                metrics.call_ended(*code, origin, took);
                let code = code.name();
                debug!(rpc.method = %method, client_id, ?took, code, "call complete");
            }
            Ending::CallerGone => {
                metrics.call_ended(Code::Cancelled, Origin::Caller, took);
                debug!(rpc.method = %method, client_id, ?took, "caller gone");
            }
            Ending::Failed(failure) => {
                let reason = failure.reason();
                metrics.call_ended(failure.code(), Origin::Server, took);
                metrics.call_failed(reason);
                debug!(rpc.method = %method, client_id, ?took, reason, "call failed");
            }
        }
    }
}
