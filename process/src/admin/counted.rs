//! A gauge that moves with what it counts.

use prometheus_client::metrics::gauge::Gauge;

/// One more on a gauge, for as long as it lives.
#[derive(Debug)]
pub struct Counted(Gauge);

impl Counted {
    /// One more on `gauge`.
    #[must_use]
    pub fn on(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
