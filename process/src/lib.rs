//! What both binaries share: options, logging, signals, listening sockets, TLS, keys and exit codes.
//!
//! A binary states its options as one table ([`Program`]), and hands it to [`run()`] together with how to read them (with
//! a [`Reader`]) and the work to do until a signal asks it to stop. Nothing here knows gRPC or tunnels,
//! and nothing here is global apart from the logger and the signal handlers, of which a process has only one anyway.

mod admin;
mod asked;
mod core_dump;
mod descriptors;
mod exit;
mod exposure;
mod handover;
mod last_words;
mod listen;
mod logging;
mod openssh;
mod options;
mod reload;
mod run;
mod seldom;
mod settings;
mod signal;
mod sockets;
mod threads;
mod tls;
mod values;

use admin::families;
use exit::EXIT_FAILED;
use logging::{Logger, Verbosity, init as init_logging};
use signal::{Hangups, Signals};
use values::{LogFormat, LogLevel, log_format, log_level};

pub use admin::{Admin, AdminError, AdminListener, Counted, Readiness};
pub use descriptors::descriptors;
pub use exit::Finished;
pub use exposure::{Exposure, REQUIRE_SECURE};
pub use handover::{HandoverError, HandoverSocket, Link, predecessor};
pub use last_words::{NO_TLS, TLS_HANDSHAKE, hang_up, http1_answer, last_words};
pub use listen::{BindError, bind, local_addresses};
pub use openssh::{
    SshKeyFileError, SshPrivateKey, SshPrivateKeyError, SshPublicKey, SshPublicKeyError,
};
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub use options::fuzzing;
pub use options::{
    Leaf, Leaves, Mistakes, NamedFile, NoYaml, OptionSpec, Origin, Place, Program, Reader, Yaml,
    YamlKey,
};
pub use reload::until;
pub use run::run;
pub use seldom::{Remarks, Seldom};
pub use settings::{
    DRAIN_TIME, DRAIN_TIMEOUT, LOG_FORMAT, LOG_LEVEL, ReadConfig, TUNNEL_TIMEOUT, UPGRADE_SOCKET,
    tunnel_timeout, upgrade_socket,
};
pub use sockets::Sockets;
pub use threads::Threads;
pub use tls::{
    AcceptError, CertificateNames, DialTerms, DialTls, ListenerTerms, ListenerTls, Shown,
    authorities_of, channel_binding, server_name,
};
pub use values::{
    BooleanError, CountError, DurationError, HostPort, HostPortError, Portion, PortionError,
    SizeError, boolean, count, duration, portion, size,
};
