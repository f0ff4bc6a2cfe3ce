//! Every metric family of the server, in one struct.
//!
//! Labels are closed sets. A client id is never one: whoever may register edges could make as many series as it likes.

mod cancels;
mod edges;

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry as Families;

use crate::hooks::HookMetrics;
use crate::jwt::KeyFetches;
use crate::proxy::Code;
use crate::registry::Why;
pub(crate) use cancels::{Cancels, Hold};
pub(crate) use edges::EdgesNow;

/// Shortest bucket of call durations in seconds, the factor between two, and their number: up to 131 s.
const DURATIONS: (f64, f64, u16) = (0.0005, 2.0, 19);

/// What is counted. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    calls: Family<Ended, Counter>,
    failures: Family<Failed, Counter>,
    retries: Family<Failed, Counter>,
    call_duration: Histogram,
    handshakes: Family<Handshake, Counter>,
    turned_away: Family<TurnedAway, Counter>,
    /// What is refused for lack of memory, as a number: 0 is nothing.
    pub(crate) shed: Gauge,
    /// Memory in use.
    pub(crate) memory: Gauge,
    /// Memory that may be.
    pub(crate) memory_limit: Gauge,
    takeovers: Family<Takeover, Counter>,
    floods: Family<Flooded, Counter>,
    /// Calls being served.
    pub(crate) calls_in_flight: Gauge,
    /// Of these, calls that wait for an edge that is away.
    pub(crate) calls_waiting: Gauge,
    /// Callers that are connected.
    pub(crate) caller_connections: Gauge,
    /// Tunnels that are up.
    pub(crate) tunnels: Gauge,
    /// Cancelled calls on their way to backends.
    pub(crate) cancels: Cancels,
    /// Keys of JWTs that were fetched, or not.
    pub(crate) key_fetches: KeyFetches,
    /// Questions to the hook.
    pub(crate) hooks: HookMetrics,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    code: &'static str,
    origin: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failed {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TurnedAway {
    listener: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Handshake {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Takeover {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Flooded {
    kind: &'static str,
}

/// Who decided how a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Backend,
    /// This server: a failure of the table, or an answer of its own services.
    Server,
    Caller,
}

/// How an introduction on the multiplexer listener ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Introduction {
    /// The edge was taken.
    Welcome,
    /// It was told no.
    Refused,
    /// It was no edge, or did not finish.
    Failed,
}

impl Default for Metrics {
    fn default() -> Self {
        let (shortest, factor, buckets) = DURATIONS;
        Self {
            calls: Family::default(),
            failures: Family::default(),
            retries: Family::default(),
            call_duration: Histogram::new(exponential_buckets(shortest, factor, buckets)),
            handshakes: Family::default(),
            turned_away: Family::default(),
            shed: Gauge::default(),
            memory: Gauge::default(),
            memory_limit: Gauge::default(),
            takeovers: Family::default(),
            floods: Family::default(),
            calls_in_flight: Gauge::default(),
            calls_waiting: Gauge::default(),
            caller_connections: Gauge::default(),
            tunnels: Gauge::default(),
            cancels: Cancels::default(),
            key_fetches: KeyFetches::default(),
            hooks: HookMetrics::default(),
        }
    }
}

impl Metrics {
    /// Shows all families in `families`.
    pub(crate) fn register(&self, families: &mut Families) {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        families.register("build", "Which software this is", Info::new(version));
        families.register(
            "calls",
            "Calls that ended, by status and by who decided it: backend, server or caller",
            self.calls.clone(),
        );
        families.register(
            "failures",
            "Calls that this server failed, by reason, as x-mux-error names it",
            self.failures.clone(),
        );
        families.register(
            "retries",
            "Calls that were sent once more, since no backend took them, by why the first try failed",
            self.retries.clone(),
        );
        families.register(
            "call_duration_seconds",
            "How long calls took, from their headers to their end",
            self.call_duration.clone(),
        );
        families.register(
            "turned_away",
            "Connections closed before anything was said, by listener and reason: limit, address, overload, or silent",
            self.turned_away.clone(),
        );
        families.register(
            "shed_level",
            "What is refused for lack of memory: 1 new callers, 2 tunnels, 3 calls, 4 calls that hold most are reset",
            self.shed.clone(),
        );
        families.register(
            "memory_in_use_bytes",
            "Memory that memory-limit looks at; 0 without a limit",
            self.memory.clone(),
        );
        families.register(
            "memory_limit_bytes",
            "What memory-limit comes to; 0 without a limit",
            self.memory_limit.clone(),
        );
        families.register(
            "calls_in_flight",
            "Calls being served",
            self.calls_in_flight.clone(),
        );
        families.register(
            "calls_waiting",
            "Calls that wait for an edge that is away",
            self.calls_waiting.clone(),
        );
        families.register(
            "caller_connections",
            "Callers that are connected",
            self.caller_connections.clone(),
        );
        families.register("tunnels", "Tunnels that are up", self.tunnels.clone());
        families.register(
            "handshakes",
            "Introductions on the multiplexer listener, by result: welcome, refused or failed",
            self.handshakes.clone(),
        );
        families.register(
            "takeovers",
            "Tunnels that lost their client id to another, by reason: superseded, silent or replaced",
            self.takeovers.clone(),
        );
        families.register(
            "floods",
            "HTTP/2 connections that were ended for sending too much of something, by what it was",
            self.floods.clone(),
        );
        families.register(
            "jwt_key_fetches",
            "Requests for keys of JWTs, by whose they are, edges or callers, and by result: ok or failed",
            self.key_fetches.clone(),
        );
        self.hooks.register(families);
        self.cancels.register(families);
    }

    /// A call ended.
    pub(crate) fn call_ended(&self, code: Code, origin: Origin, took: Duration) {
        let labels = Ended {
            code: code.name(),
            origin: match origin {
                Origin::Backend => "backend",
                Origin::Server => "server",
                Origin::Caller => "caller",
            },
        };
        self.calls.get_or_create(&labels).inc();
        self.call_duration.observe(took.as_secs_f64());
    }

    /// A call was failed by this server.
    pub(crate) fn call_failed(&self, reason: &'static str) {
        self.failures.get_or_create(&Failed { reason }).inc();
    }

    /// A call is sent once more.
    pub(crate) fn call_retried(&self, reason: &'static str) {
        self.retries.get_or_create(&Failed { reason }).inc();
    }

    /// A connection was closed before anything was said.
    pub(crate) fn turned_away(&self, listener: &'static str, reason: &'static str) {
        let labels = TurnedAway { listener, reason };
        self.turned_away.get_or_create(&labels).inc();
    }

    /// A tunnel lost its client id to another.
    pub(crate) fn taken_over(&self, why: Why) {
        let reason = match why {
            Why::Superseded => "superseded",
            Why::Silent => "silent",
            Why::Replaced => "replaced",
        };
        self.takeovers.get_or_create(&Takeover { reason }).inc();
    }

    /// A connection was ended for a flood.
    pub(crate) fn flooded(&self, kind: &'static str) {
        self.floods.get_or_create(&Flooded { kind }).inc();
    }

    /// Somebody introduced itself on the multiplexer listener.
    pub(crate) fn introduced(&self, introduction: Introduction) {
        let result = match introduction {
            Introduction::Welcome => "welcome",
            Introduction::Refused => "refused",
            Introduction::Failed => "failed",
        };
        self.handshakes.get_or_create(&Handshake { result }).inc();
    }
}
