//! The edge: sits beside a gRPC server that nobody can dial, dials out to a grpc-multiplexer server, and carries what
//! callers send it to its backend.
//!
//! It copies bytes and never parses gRPC. It redials for ever: neither a server nor a backend that is down is a reason
//! to end.
//!
//! As a library it is [`Edge`]: made from a client id, a [`Backend`] and a server's address, run until a token is
//! cancelled. The backend may be a tonic server in this process, which then needs no port at all:
//! [`Backend::in_process`].

mod backend;
mod cli;
mod config;
mod connector;
mod credential;
mod dial;
mod edge;
mod embed;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod http2;
mod legacy;
mod metrics;
mod options;
mod reachability;
mod server_tls;
mod splice;
mod supervisor;
mod terminate;
mod token;
mod upgrade;

pub use backend::{
    Backend, BackendAddress, BackendAddressError, BackendMode, BackendTls, UnknownBackendMode,
};
pub use cli::subcommand;
pub use config::EdgeConfig;
pub use edge::{Edge, TunnelProtocol, UnknownTunnelProtocol};
pub use embed::{EdgeIncoming, EdgeStream};
pub use grpc_multiplexer_process::{
    HostPort, HostPortError, SshKeyFileError, SshPrivateKey, SshPrivateKeyError,
};
pub use grpc_multiplexer_proto::CLIENT_ID_METADATA_KEY;
pub use grpc_multiplexer_tunnel::{
    ClientId, InvalidClientId, InvalidLabel, InvalidLabels, Label, Labels,
};
pub use options::PROGRAM;
pub use server_tls::ServerTls;
pub use supervisor::EdgeEnd;
pub use token::{EdgeToken, EdgeTokenError};
pub use upgrade::Upgrade;
