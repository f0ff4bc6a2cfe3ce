//! What is counted of hooks.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry as Families;

/// Shortest bucket in seconds, the factor between two, and their number: up to 16 s.
const DURATIONS: (f64, f64, u16) = (0.001, 2.0, 15);

/// The families of hooks. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct HookMetrics {
    durations: Family<Asked, Histogram, fn() -> Histogram>,
    /// What is to be told of edges and was not yet.
    pub(super) waiting: Gauge,
    /// Epochs that are not told at all.
    pub(super) dropped: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    hook: &'static str,
    result: &'static str,
}

impl Default for HookMetrics {
    fn default() -> Self {
        Self {
            durations: Family::new_with_constructor(|| {
                let (shortest, factor, buckets) = DURATIONS;
                Histogram::new(exponential_buckets(shortest, factor, buckets))
            }),
            waiting: Gauge::default(),
            dropped: Counter::default(),
        }
    }
}

impl HookMetrics {
    /// Shows all families in `families`.
    pub(crate) fn register(&self, families: &mut Families) {
        families.register(
            "hook_duration_seconds",
            "How long questions to the hook took, by hook: authorize, connected or disconnected; and by result: allowed, \
             refused, told or failed",
            self.durations.clone(),
        );
        families.register(
            "hook_events_waiting",
            "What the hook is still to be told of edges that came and left",
            self.waiting.clone(),
        );
        families.register(
            "hook_epochs_dropped",
            "Epochs of edges that the hook is told nothing of, because it was away for too many",
            self.dropped.clone(),
        );
    }

    /// A question came to its end.
    pub(super) fn answered(&self, hook: &'static str, result: &'static str, took: Duration) {
        let labels = Asked { hook, result };
        let durations = self.durations.get_or_create(&labels);
        durations.observe(took.as_secs_f64());
    }
}
