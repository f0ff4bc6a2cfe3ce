//! What both binaries share: options, logging, signals, listening sockets and exit codes.
//!
//! A binary states its options as one table ([`Program`]), reads them into its own configuration with a [`Reader`],
//! sets up [`logging`](init_logging), and lets [`Signals`] tell it when to stop. Nothing here knows gRPC or tunnels,
//! and nothing here is global apart from the logger and the signal handlers, of which a process has only one anyway.

mod exit;
mod listen;
mod logging;
mod options;
mod signal;
mod values;

pub use exit::{EXIT_DRAINED, EXIT_FAILED, EXIT_SUPERSEDED, EXIT_USAGE};
pub use listen::{BindError, bind, local_addresses};
pub use logging::{InitLoggingError, init as init_logging};
pub use options::{Leaf, Leaves, Mistakes, OptionSpec, Origin, Program, Reader};
pub use signal::Signals;
pub use values::{
    DurationError, HostPort, HostPortError, LogFormat, LogFormatError, LogLevel, LogLevelError,
    SizeError, duration, host_port, log_format, log_level, size,
};
