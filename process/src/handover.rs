//! How a new process takes over from an old one of the same program: where they meet, and how they speak.
//!
//! The old one listens on a Unix socket that only its user may open. The new one connects to it, and both speak in lines
//! of text, some of which carry descriptors. What they say beyond who they are is the program's own business. Nobody is
//! waited for without a deadline, so whichever of the two hangs, the other one goes on.

#[cfg(unix)]
mod line;
#[cfg(not(unix))]
mod nowhere;
#[cfg(unix)]
mod socket;
#[cfg(unix)]
mod sockets;

use std::error::Error;
use std::future::pending;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::warn;

#[cfg(unix)]
pub use line::Link;
#[cfg(not(unix))]
pub use nowhere::{HandoverSocket, Link, predecessor};
#[cfg(unix)]
pub use socket::{HandoverSocket, predecessor};

/// What both say first, with the version of what follows.
#[cfg(unix)]
const GREETING: &str = "grpc-multiplexer-upgrade 1";
/// How long the other process may take for any answer that needs no work.
#[cfg(unix)]
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a process cannot take over, or hand over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandoverError {
    /// The file is none that a process of ours made.
    #[error("{path} is not a socket of this user's: {what}; remove it, or name another file")]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        what: String,
    },
    /// The socket cannot be made or reached.
    #[error("cannot use {path}")]
    Socket {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The other process does not answer.
    #[error("the other process does not answer within {0:?}")]
    Silent(Duration),
    /// The other process is gone.
    #[error("the other process is gone")]
    Gone,
    /// The other process said no.
    #[error("the other process said no: {0}")]
    Refused(String),
    /// The other process said something else than what was due.
    #[error("the other process said {0:?}, which is not understood")]
    Unexpected(String),
    /// The new process has not what it needs to be the same as the old one.
    #[error("{0}")]
    Lacking(String),
    /// Its connection failed.
    #[error("the connection to the other process failed")]
    Broken(#[from] io::Error),
}

impl HandoverSocket {
    /// [`bind`](Self::bind) for a process that serves already: that it cannot be met is no reason to end, so this says so
    /// and waits for ever.
    pub async fn bind_or_wait(path: &Path) -> Self {
        match Self::bind(path) {
            Ok(socket) => socket,
            Err(error) => {
                warn!(
                    error = &error as &dyn Error,
                    "no new process can take over from this one"
                );
                pending().await
            }
        }
    }
}

impl Link {
    /// Tells the new process, which may be gone, that this one goes on: `error` came between.
    pub async fn not_handed(mut self, error: &HandoverError) {
        // Who is gone needs no telling.
        let _ = self.say(&format!("no {error}")).await;
        let error: &dyn Error = error;
        warn!(error, "not handed over, this process goes on");
    }
}
