//! What is counted of cancelled calls on their way to backends.

use grpc_multiplexer_process::Counted;
use h2::Reason;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry as Families;
use tokio::time::Instant;

/// Shortest bucket of a wait in seconds, the factor between two, and their number: up to 33 s.
const WAITS: (f64, f64, u16) = (0.001, 2.0, 16);

/// The families of cancelled calls. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Cancels {
    held: Gauge,
    waits: Histogram,
    resets: Counter,
    rotations: Counter,
    go_aways: Family<GoAway, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GoAway {
    code: &'static str,
}

/// A cancelled call of which the backend was not told yet.
#[derive(Debug)]
pub(crate) struct Hold {
    since: Instant,
    waits: Histogram,
    _counted: Counted,
}

impl Default for Cancels {
    fn default() -> Self {
        let (shortest, factor, buckets) = WAITS;
        Self {
            held: Gauge::default(),
            waits: Histogram::new(exponential_buckets(shortest, factor, buckets)),
            resets: Counter::default(),
            rotations: Counter::default(),
            go_aways: Family::default(),
        }
    }
}

impl Cancels {
    /// Shows all families in `families`.
    pub(crate) fn register(&self, families: &mut Families) {
        families.register(
            "cancels_held",
            "Cancelled calls that wait until their backend can be told without harm to others",
            self.held.clone(),
        );
        families.register(
            "cancel_hold_seconds",
            "How long cancelled calls waited until their backend was told, or they ended by themselves",
            self.waits.clone(),
        );
        families.register(
            "lane_resets",
            "Calls that were reset on their way to a backend",
            self.resets.clone(),
        );
        families.register(
            "lane_rotations",
            "Lanes that gave way to another because they sent as many resets as their backend bears",
            self.rotations.clone(),
        );
        families.register(
            "backend_go_aways",
            "Lanes that the backend ended with GOAWAY, by its code",
            self.go_aways.clone(),
        );
    }

    /// A call was cancelled; what comes back lives until its backend was told.
    pub(crate) fn hold(&self, now: Instant) -> Hold {
        Hold {
            since: now,
            waits: self.waits.clone(),
            _counted: Counted::on(&self.held),
        }
    }

    /// A call was reset.
    pub(crate) fn reset(&self) {
        self.resets.inc();
    }

    /// A lane gave way to another.
    pub(crate) fn rotated(&self) {
        self.rotations.inc();
    }

    /// A backend said GOAWAY.
    pub(crate) fn went_away(&self, reason: Reason) {
        let code = match reason {
            Reason::NO_ERROR => "no-error",
            Reason::PROTOCOL_ERROR => "protocol-error",
            Reason::INTERNAL_ERROR => "internal-error",
            Reason::FLOW_CONTROL_ERROR => "flow-control-error",
            Reason::ENHANCE_YOUR_CALM => "enhance-your-calm",
            _ => "other",
        };
        self.go_aways.get_or_create(&GoAway { code }).inc();
    }
}

impl Hold {
    /// When the call was cancelled.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.waits.observe(self.since.elapsed().as_secs_f64());
    }
}
