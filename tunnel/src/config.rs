//! Limits and timeouts of a tunnel, each with its reason.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::Chance;

/// Most streams that yamux accepts on a session: constant of protocol 1.
///
/// One stream more ends the whole session, so [`LANES`] and [`BYTE_STREAMS`] stay below it together, with room
/// for the control stream and for streams whose end is still on its way.
pub(crate) const MAX_STREAMS: usize = 256;

/// Most HTTP/2 streams (lanes) open at a time on a session, those that end with their last calls among them.
pub const LANES: usize = 64;

/// Most tunnels that one edge has with a server side by side: constant of protocol 1.
pub const SLOTS: u32 = 8;

/// Most streams of other kinds open at a time on a session.
pub(crate) const BYTE_STREAMS: usize = 160;

/// Most bytes that yamux may hold for a session: every stream's first window, plus as much again for growth.
///
/// yamux lets windows grow only into what this exceeds `256 KiB × MAX_STREAMS` by. At exactly that product
/// (64 MiB) no window ever grows, and a stream is held to 256 KiB per round trip for ever.
pub(crate) const RECEIVE_LIMIT: usize = 2 * MAX_STREAMS * yamux::DEFAULT_CREDIT as usize;

/// Largest payload of one yamux frame that we send. 64 KiB measured 31 % less CPU per byte than 16 KiB, and still
/// lets other streams in every millisecond on a 50 MB/s link.
pub(crate) const SPLIT_SEND_SIZE: usize = 64 * 1024;

/// Timeouts of a tunnel. The default is what both binaries use.
#[derive(Debug, Clone)]
pub struct TunnelConfig {
    /// How long the peer may take from the first byte to the end of the hello. Default 10 s.
    pub hello_timeout: Duration,
    /// How long a backend may take to answer a dial, as asked of the edge in `Open`. Default 5 s.
    pub dial_timeout: Duration,
    /// Liveness.
    pub heartbeat: Arc<HeartbeatTimes>,
    /// What spreads heartbeats and redials.
    pub chance: Chance,
}

impl Default for TunnelConfig {
    fn default() -> Self {
        Self {
            hello_timeout: Duration::from_secs(10),
            dial_timeout: Duration::from_secs(5),
            heartbeat: Arc::default(),
            chance: Chance::default(),
        }
    }
}

/// When a tunnel is asked for a sign of life, doubted, and given up.
#[derive(Debug, Clone)]
pub struct HeartbeatTimes {
    /// Between two heartbeats, give or take a fifth so that a fleet spreads out. Default 10 s.
    pub interval: Duration,
    /// A written stream without a byte back for this long, or for four round trips, asks at once. Default 1 s.
    pub probe_after: Duration,
    /// A heartbeat unanswered for this long, or for four round trips, takes the tunnel out of rotation. Default 2 s.
    pub suspect_after: Duration,
    /// Silence for this long, with a heartbeat unanswered, closes the tunnel. Default 20 s.
    pub dead_after: Duration,
    /// Tunnels with the same moment here wake up together for what is due within 50 ms. Default when this was made.
    pub together_from: Instant,
}

/// Least silence that can close a tunnel: a busy machine and a lost packet take a second by themselves.
pub const LEAST_TUNNEL_TIMEOUT: Duration = Duration::from_secs(2);

impl HeartbeatTimes {
    /// Times that close a silent tunnel after `dead_after`, at least [`LEAST_TUNNEL_TIMEOUT`]: two heartbeats fit in, and
    /// a doubt before the end.
    #[must_use]
    pub fn closing_after(dead_after: Duration) -> Self {
        let dead_after = dead_after.max(LEAST_TUNNEL_TIMEOUT);
        Self {
            interval: dead_after / 2,
            probe_after: Duration::from_secs(1).min(dead_after / 4),
            suspect_after: Duration::from_secs(2).min(dead_after / 4),
            dead_after,
            together_from: Instant::now(),
        }
    }
}

impl Default for HeartbeatTimes {
    fn default() -> Self {
        Self::closing_after(Duration::from_secs(20))
    }
}

/// The yamux settings of protocol 1.
pub(crate) fn yamux_config() -> yamux::Config {
    let mut config = yamux::Config::default();
    config
        .set_max_num_streams(MAX_STREAMS)
        .set_max_connection_receive_window(Some(RECEIVE_LIMIT))
        .set_split_send_size(SPLIT_SEND_SIZE);
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_leave_room_below_the_limit_that_ends_a_session() {
        const { assert!(LANES + BYTE_STREAMS + 16 < MAX_STREAMS) };
    }

    #[test]
    fn windows_have_room_to_grow() {
        const { assert!(RECEIVE_LIMIT > MAX_STREAMS * yamux::DEFAULT_CREDIT as usize) };
    }
}
