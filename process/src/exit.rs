//! The exit codes of both binaries, which scripts and service managers branch on.

use std::fmt;
use std::io::{self, Write as _};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use crate::Mistakes;

/// The process did what it was asked for, and finished its work.
pub(crate) const EXIT_DRAINED: u8 = 0;

/// Another process does the work now, and this one was to end then.
pub(crate) const EXIT_SUPERSEDED: u8 = 3;

/// Something failed at run time, or a second signal ended the process at once.
pub(crate) const EXIT_FAILED: u8 = 1;

/// The command line or the configuration is wrong; trying again changes nothing. The same code as clap's.
pub(crate) const EXIT_USAGE: u8 = 2;

/// How work ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// It was asked to stop, and finished what was under way.
    Drained,
    /// Another process does it now, and this one was to end then.
    Superseded,
}

impl Finished {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Drained => EXIT_DRAINED,
            Self::Superseded => EXIT_SUPERSEDED,
        }
    }
}

/// Why a process ends before it works.
#[derive(Debug)]
pub(crate) enum Refusal {
    Mistakes(Mistakes),
    Failed(String),
}

impl Refusal {
    pub(crate) fn failed(error: impl fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }

    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Mistakes(_) => EXIT_USAGE,
            Self::Failed(_) => EXIT_FAILED,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mistakes(mistakes) => write!(f, "\n{mistakes}"),
            Self::Failed(reason) => write!(f, " {reason}"),
        }
    }
}

/// How long a process that cannot start waits for a stderr that takes nothing, as the reader of a full pipe has stopped.
const STDERR: Duration = Duration::from_secs(1);

/// Says `text` on stderr. One that is gone is no reason for another exit code, and `eprintln!` would panic.
pub(crate) fn say(text: impl fmt::Display) {
    let text = format!("{text}\n");
    say_by(move || io::stderr().write_all(text.as_bytes()));
}

/// The same for what writes to stderr by itself, in a thread that is left behind when it takes too long.
pub(crate) fn say_by(write: impl Fn() -> io::Result<()> + Send + Sync + 'static) {
    let write = Arc::new(write);
    let (done, written) = mpsc::channel();
    let thread = thread::Builder::new().spawn({
        let write = Arc::clone(&write);
        move || done.send(write())
    });
    match thread {
        Ok(_) => drop(written.recv_timeout(STDERR)),
        // That there are no more threads is likely what is to be said.
        Err(_) => drop(write()),
    }
}
