//! The exit codes of both binaries, which scripts and service managers branch on.

/// The process was asked to stop and finished its work.
pub(crate) const EXIT_DRAINED: u8 = 0;

/// Something failed at run time, or a second signal ended the process at once.
pub(crate) const EXIT_FAILED: u8 = 1;

/// The command line or the configuration is wrong; trying again changes nothing. The same code as clap's.
pub(crate) const EXIT_USAGE: u8 = 2;
