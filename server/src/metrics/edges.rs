//! What is asked of the edges at each scrape, because nothing happens in this crate when it changes.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::edge::EdgeHandle;
use crate::registry::Registry;

/// The edges as they are at a scrape.
#[derive(Debug)]
pub(crate) struct EdgesNow(pub(crate) Arc<Registry>);

impl Collector for EdgesNow {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let edges = self.0.edges();
        let sum = |of: &dyn Fn(&EdgeHandle) -> usize| -> usize {
            edges.iter().map(|edge| of(edge)).sum()
        };
        for (name, help, value) in [
            (
                "tunnel_streams",
                "Streams that are open on all tunnels",
                sum(&|edge| edge.session().open_streams()),
            ),
            (
                "calls_queued",
                "Calls that wait for a place on their edge",
                sum(&|edge| edge.queued()),
            ),
        ] {
            let value = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            value.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        Ok(())
    }
}
