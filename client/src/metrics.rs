//! Every metric family of an edge, in one struct, and whether the edge is ready.

use grpc_multiplexer_process::{Counted, Readiness};
use grpc_multiplexer_tunnel::HandshakeError;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::backend::DialError;
use crate::dial::AttemptError;

/// Why an edge is not ready: callers cannot reach it.
const NO_TUNNEL: &str = "no tunnel to a server is up";

/// What is counted. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    handshakes: Family<By, Counter>,
    backend_dials: Family<By, Counter>,
    tunnels: Gauge,
    tunnel_streams: Gauge,
    readiness: Readiness,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct By {
    result: &'static str,
}

impl By {
    fn result(result: &'static str) -> Self {
        Self { result }
    }
}

impl Metrics {
    /// Shows all families in `families`, and tells `readiness` while no tunnel is up.
    pub(crate) fn new(families: &mut Registry, readiness: Readiness) -> Self {
        readiness.set(NO_TUNNEL, true);
        let metrics = Self {
            readiness,
            ..Self::default()
        };
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        families.register("build", "Which software this is", Info::new(version));
        families.register(
            "handshakes",
            "Introductions to servers, by result: welcome, refused or failed",
            metrics.handshakes.clone(),
        );
        families.register(
            "backend_dials",
            "Connections to the backend that the server asked for, by result",
            metrics.backend_dials.clone(),
        );
        families.register("tunnels", "Tunnels that are up", metrics.tunnels.clone());
        families.register(
            "tunnel_streams",
            "Streams that are open on all tunnels",
            metrics.tunnel_streams.clone(),
        );
        metrics
    }

    /// A server was dialled.
    pub(crate) fn attempted<T>(&self, attempt: &Result<T, AttemptError>) {
        let result = match attempt {
            Ok(_) => "welcome",
            Err(
                AttemptError::Handshake(HandshakeError::Refused(_)) | AttemptError::NoLabels(_),
            ) => "refused",
            Err(_) => "failed",
        };
        self.handshakes.get_or_create(&By::result(result)).inc();
    }

    /// The backend was dialled.
    pub(crate) fn dialled<T>(&self, dial: &Result<T, DialError>) {
        let result = dial.as_ref().map_or_else(DialError::class, |_| "ok");
        self.backend_dials.get_or_create(&By::result(result)).inc();
    }

    /// A tunnel is up, for as long as the guard lives.
    pub(crate) fn tunnel_up(&self) -> TunnelUp {
        self.readiness.set(NO_TUNNEL, false);
        TunnelUp {
            counted: Some(Counted::on(&self.tunnels)),
            metrics: self.clone(),
        }
    }

    /// A stream is open, for as long as the guard lives.
    pub(crate) fn stream_open(&self) -> Counted {
        Counted::on(&self.tunnel_streams)
    }

    /// The edge goes away.
    pub(crate) fn draining(&self) {
        self.readiness.set("draining", true);
    }

    /// Another process is the edge from now on.
    pub(crate) fn left(&self) {
        self.readiness.leave_to_another();
    }
}

/// Counts a tunnel that is up.
#[derive(Debug)]
pub(crate) struct TunnelUp {
    counted: Option<Counted>,
    metrics: Metrics,
}

impl Drop for TunnelUp {
    fn drop(&mut self) {
        // First, or the last tunnel would see itself.
        drop(self.counted.take());
        if self.metrics.tunnels.get() == 0 {
            self.metrics.readiness.set(NO_TUNNEL, true);
        }
    }
}
