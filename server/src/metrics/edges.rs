//! What is asked of the edges at each scrape, because nothing happens in this crate when it changes.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::registry::Registry;

/// The edges as they are at a scrape.
#[derive(Debug)]
pub(crate) struct EdgesNow(pub(crate) Arc<Registry>);

impl Collector for EdgesNow {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let edges = self.0.edges();
        let streams: usize = edges.iter().map(|edge| edge.session().open_streams()).sum();
        let streams = ConstGauge::new(i64::try_from(streams).unwrap_or(i64::MAX));
        let encoder = encoder.encode_descriptor(
            "tunnel_streams",
            "Streams that are open on all tunnels",
            None,
            MetricType::Gauge,
        )?;
        streams.encode(encoder)
    }
}
