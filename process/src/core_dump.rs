//! What is left on the disk of a process that crashed.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Has the system write no core dump of this process: that would be its memory, with keys and tokens in it. Whoever needs
/// one can raise the limit again while the process runs.
pub(crate) fn write_none() {
    let none = Rlimit {
        current: Some(0),
        ..getrlimit(Resource::Core)
    };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::debug!(%error, "the limit of core dumps stays");
    }
}
