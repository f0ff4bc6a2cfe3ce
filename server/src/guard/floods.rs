//! What floods there are, how often each was seen, and what is said of it.

use grpc_multiplexer_process::Seldom;
use tracing::{debug, info};

use crate::metrics::Metrics;

/// What a peer sends too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Flood {
    /// PING, SETTINGS, GOAWAY, and types that nobody knows.
    #[error("too many control frames")]
    Control,
    #[error("too many PRIORITY frames")]
    Priority,
    #[error("too many WINDOW_UPDATE frames")]
    WindowUpdate,
    #[error("too many empty DATA frames")]
    EmptyData,
    #[error("too many RST_STREAM frames")]
    Reset,
    #[error("too many calls cancelled as soon as they began")]
    Cancels,
    #[error("headers that do not end")]
    SlowHeaders,
    /// What h2 counts itself.
    #[error("too many protocol errors")]
    Errors,
}

impl Flood {
    pub(crate) const ALL: [Self; 8] = [
        Self::Control,
        Self::Priority,
        Self::WindowUpdate,
        Self::EmptyData,
        Self::Reset,
        Self::Cancels,
        Self::SlowHeaders,
        Self::Errors,
    ];

    /// Its name, for machines.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Control => "control-frames",
            Self::Priority => "priority",
            Self::WindowUpdate => "window-updates",
            Self::EmptyData => "empty-data",
            Self::Reset => "resets",
            Self::Cancels => "cancels",
            Self::SlowHeaders => "slow-headers",
            Self::Errors => "protocol-errors",
        }
    }
}

/// Floods that connections were ended for.
#[derive(Debug, Default)]
pub(crate) struct Floods {
    metrics: Metrics,
    said: [Seldom; Flood::ALL.len()],
}

impl Floods {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            said: Default::default(),
        }
    }

    /// A connection is ended for `flood`: each time for those who look closely, and once a minute, with how many there
    /// were since, for everybody.
    pub(crate) fn seen(&self, flood: Flood) {
        let kind = flood.name();
        self.metrics.flooded(kind);
        debug!(kind, reason = %flood, "connection ended: flood");
        if let Some(times) = self.said[flood as usize].again() {
            info!(kind, times, reason = %flood, "connections ended for flooding");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_in_their_order() {
        for (place, flood) in Flood::ALL.into_iter().enumerate() {
            assert_eq!(flood as usize, place);
        }
    }
}
