//! How many files and sockets this process may have open.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as the system lets a process do that by itself. The lower one that a process starts with is
/// for programs that cannot count beyond it; ours is one per connection.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit {
            current: limit.maximum,
            ..limit
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::debug!(%error, "the limit of open files stays");
        }
    }
}

/// How many descriptors this process may have, and how many it has.
#[must_use]
pub fn descriptors() -> (usize, usize) {
    let limit = getrlimit(Resource::Nofile).current;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    (limit.unwrap_or(usize::MAX), open)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_and_what_is_open_counted() {
        raise_limit();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        let (most, open) = descriptors();
        assert!(most > open, "{open} of {most}");
        assert!(open >= 3, "{open}");
    }
}
