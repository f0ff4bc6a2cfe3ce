//! How much of everything there may be, each limit with its reason; enforced before anything is queued.

use std::time::Duration;

use grpc_multiplexer_process::{Portion, Reader, count, duration, portion, size};
use http::HeaderMap;

/// Above any use, so that a slip of the finger is seen.
const MOST: usize = 10_000_000;
/// Whoever waits for longer is not waited for any more.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// A server that has less refuses everybody.
const LEAST_MEMORY: u64 = 64 << 20;
/// Largest limit on metadata. Header lists that are larger still are read, to be refused with an answer.
const MOST_METADATA: u64 = 1 << 20;

/// How much of everything there may be at a time. The default is that of the binary's options.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// Connections of callers. Default 10,000.
    pub caller_connections: usize,
    /// Connections of callers from one address, or one /64 network of IPv6. Default 1,000.
    pub caller_connections_per_address: usize,
    /// Calls on one connection of a caller. Default 1,000.
    pub calls_per_connection: u32,
    /// Metadata in one direction of a call.
    pub metadata: MetadataLimits,
    /// How long a newcomer may take for its handshake. Default 10 s.
    pub handshake_timeout: Duration,
    /// Newcomers at one listener whose handshake is not over. Default 512.
    pub handshakes: usize,
    /// Tunnels. Default 10,000.
    pub tunnels: usize,
    /// Calls on one edge. Default 4,096.
    pub calls_per_edge: usize,
    /// Calls that wait for a place on one edge. Default 256.
    pub queued_calls_per_edge: usize,
    /// How long they may wait for it. Default 1 s.
    pub queue_timeout: Duration,
    /// Calls to edges in the process. Default 20,000.
    pub calls: usize,
    /// Memory of the process, of what the control group or the machine has; 0 is no limit. Default 60 %.
    pub memory: Portion,
}

/// How much metadata a call may have in one direction.
#[derive(Debug, Clone, Copy)]
pub struct MetadataLimits {
    /// Bytes: names and values, with 32 for each entry as HTTP/2 counts them. Default 16 KiB.
    pub bytes: u32,
    /// Entries. Default 100.
    pub entries: usize,
}

impl Default for MetadataLimits {
    fn default() -> Self {
        Self {
            bytes: 16 * 1024,
            entries: 100,
        }
    }
}

impl MetadataLimits {
    /// Whether metadata is over the limit.
    pub(crate) fn are_passed_by(self, headers: &HeaderMap) -> bool {
        let bytes: usize = headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 32)
            .sum();
        bytes > self.bytes as usize || headers.len() > self.entries
    }

    /// The largest header list that is read from a caller at all: so far above the limit that what is over that gets an
    /// answer.
    pub(crate) fn header_list(self) -> u32 {
        self.bytes.saturating_mul(4).max(64 * 1024)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            caller_connections: 10_000,
            caller_connections_per_address: 1000,
            calls_per_connection: 1000,
            metadata: MetadataLimits::default(),
            handshake_timeout: Duration::from_secs(10),
            handshakes: 512,
            tunnels: 10_000,
            calls_per_edge: 4096,
            queued_calls_per_edge: 256,
            queue_timeout: Duration::from_secs(1),
            calls: 20_000,
            memory: Portion::Percent(60),
        }
    }
}

impl Limits {
    /// Reads the options of [`crate::PROGRAM`] that are limits. Mistakes are kept by `reader`.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let some = || count(1..=MOST);
        let caller_connections = reader.one("max-caller-connections", some());
        let caller_connections_per_address =
            reader.one("max-caller-connections-per-address", some());
        let calls_per_connection = reader.one("max-calls-per-connection", some());
        let bytes = reader.one("max-metadata-size", metadata_size);
        let entries = reader.one("max-metadata-entries", some());
        let handshake_timeout = reader.one("handshake-timeout", time_for_something);
        let handshakes = reader.one("max-handshakes", some());
        let tunnels = reader.one("max-tunnels", some());
        let calls_per_edge = reader.one("max-calls-per-edge", some());
        let queued_calls_per_edge = reader.one("max-queued-calls-per-edge", count(0..=MOST));
        let queue_timeout = reader.one("queue-timeout", wait);
        let calls = reader.one("max-calls", some());
        let memory = reader.one("memory-limit", memory);
        Some(Self {
            caller_connections: caller_connections?,
            caller_connections_per_address: caller_connections_per_address?,
            calls_per_connection: u32::try_from(calls_per_connection?).ok()?,
            metadata: MetadataLimits {
                bytes: bytes?,
                entries: entries?,
            },
            handshake_timeout: handshake_timeout?,
            handshakes: handshakes?,
            tunnels: tunnels?,
            calls_per_edge: calls_per_edge?,
            queued_calls_per_edge: queued_calls_per_edge?,
            queue_timeout: queue_timeout?,
            calls: calls?,
            memory: memory?,
        })
    }

    /// Those that each edge has for itself.
    pub(crate) fn per_edge(&self) -> EdgeLimits {
        EdgeLimits {
            calls: self.calls_per_edge,
            queued: self.queued_calls_per_edge,
            patience: self.queue_timeout,
        }
    }
}

fn metadata_size(text: &str) -> Result<u32, String> {
    let bytes = size(text).map_err(|error| error.to_string())?;
    let bytes = u32::try_from(bytes).ok();
    let within = |bytes: &u32| (1024..=MOST_METADATA).contains(&u64::from(*bytes));
    bytes
        .filter(within)
        .ok_or_else(|| "expected from 1KiB to 1MiB".to_owned())
}

fn memory(text: &str) -> Result<Portion, String> {
    match portion(text) {
        Ok(Portion::Bytes(1..LEAST_MEMORY)) => {
            Err("expected at least 64MiB, or 0 for no limit".to_owned())
        }
        other => other.map_err(|error| error.to_string()),
    }
}

fn wait(text: &str) -> Result<Duration, String> {
    match duration(text) {
        Ok(wait) if wait > LONGEST_WAIT => Err("expected at most 1h".to_owned()),
        other => other.map_err(|error| error.to_string()),
    }
}

fn time_for_something(text: &str) -> Result<Duration, String> {
    match wait(text) {
        Ok(Duration::ZERO) => Err("expected more than no time at all".to_owned()),
        other => other,
    }
}

/// The limits of one edge.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EdgeLimits {
    pub(crate) calls: usize,
    pub(crate) queued: usize,
    /// How long a call may wait while the edge is full.
    pub(crate) patience: Duration,
}

#[cfg(test)]
mod tests;
