//! The tunnel between an edge and a server: one yamux session over any byte pipe, and what both ends say on it.
//!
//! This crate knows bytes and streams, and nothing of gRPC. The edge [`dial`]s with a hello, the server
//! [`accept`]s it and answers; both then hold a [`Session`] to open streams on, and an [`Incoming`] of streams
//! that the other end opens. One task owns the yamux connection; liveness is decided by heartbeats of our own,
//! because yamux has none that time out.
//!
//! A peer may also be of the original program, whose wire is another: [`LegacyEdge`], [`dial_legacy`]. From then on a
//! [`Session`] hides which it is.
//!
//! It must never let one stream too many onto a session (yamux ends the whole session), and never call a stream
//! complete because it ended: yamux shows a reset as a clean end, so only [`StreamEnd`] tells.

mod allowance;
mod backoff;
mod chance;
mod client_id;
mod config;
mod error;
mod flood;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod handshake;
mod io;
mod labels;
mod legacy;
mod proof;
#[cfg(test)]
mod scripted;
mod session;
mod socket;
mod speaks;
mod stream;
mod walk;

pub use allowance::Allowance;
pub use backoff::Backoff;
pub use chance::Chance;
pub use client_id::{ClientId, InvalidClientId};
pub use config::{HeartbeatTimes, LANES, LEAST_TUNNEL_TIMEOUT, SLOTS, TunnelConfig};
pub use error::{HandshakeError, OpenError, SessionError};
pub use handshake::{
    ALPN, Accepted, Arrival, Established, LONGEST_TOKEN, PROTOCOL_VERSION, TOKEN_SCHEME, accept,
    dial, dial_proving, unsupported_in,
};
pub use io::{BoxedIo, Io};
pub use labels::{InvalidLabel, InvalidLabels, Label, Labels};
pub use legacy::{LegacyEdge, dial_legacy};
pub use proof::{Channel, KEY_SCHEME};
pub use session::{BARE_ENDPOINT, InboundStream, Incoming, PendingStream, Session, SessionTask};
pub use socket::tune;
pub use speaks::Speaks;
pub use stream::{PeerEnd, StreamEnd, TunnelStream};
pub use walk::FrameWalk;

/// The messages of the tunnel protocol, for building a hello and reading a verdict.
pub use grpc_multiplexer_proto::tunnel::v1 as message;
