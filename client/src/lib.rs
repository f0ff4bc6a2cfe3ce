//! The edge: sits beside a gRPC server that nobody can dial, dials out to a grpc-multiplexer server, and carries what
//! callers send it to its backend.
//!
//! It copies bytes and never parses gRPC. It redials for ever: neither a server nor a backend that is down is a reason
//! to end.

mod backend;
mod config;
mod dial;
mod legacy;
mod options;
mod splice;
mod supervisor;

pub use backend::{Backend, BackendAddress, BackendAddressError, BackendTls, DialError};
pub use config::{EdgeConfig, TunnelProtocol, UnknownTunnelProtocol};
pub use options::PROGRAM;
pub use supervisor::Edge;
