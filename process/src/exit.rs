//! The exit codes of both binaries, which scripts and service managers branch on.

use std::fmt;
use std::io::{self, Write as _};

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

/// Says `text` on stderr. One that is gone is no reason for another exit code, and `eprintln!` would panic.
pub(crate) fn say(text: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{text}");
}
