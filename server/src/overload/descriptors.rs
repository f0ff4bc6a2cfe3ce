//! How many sockets may be open.
//!
//! Each takes a descriptor of the process, of which the system grants a fixed number. A twentieth is kept from callers,
//! so that edges still come in when callers take all the rest; and another from both, for everything else.

use std::sync::Arc;

use grpc_multiplexer_process::descriptors;

use super::counter::{Counter, Taken};

/// Least that is kept, twice.
const LEAST_SPARE: usize = 4;

/// The sockets of callers and edges.
#[derive(Debug)]
pub(crate) struct Descriptors {
    /// As many as edges may come in with.
    open: Arc<Counter>,
    /// Beyond so many of both no caller comes in.
    callers: usize,
}

impl Descriptors {
    /// Of this process, as it is now: what is open already is none of ours.
    pub(crate) fn of_process() -> Self {
        let (limit, open) = descriptors();
        Self::new(limit, open)
    }

    fn new(limit: usize, others: usize) -> Self {
        let spare = (limit / 20).max(LEAST_SPARE);
        let all = limit.saturating_sub(others + spare);
        Self {
            open: Counter::up_to(all),
            callers: all.saturating_sub(spare),
        }
    }

    /// Sockets of both.
    pub(crate) fn open(&self) -> usize {
        self.open.now()
    }

    /// Lets a caller's socket be open, unless there are too many.
    pub(crate) fn caller(&self) -> Option<Taken> {
        self.open.one_of(self.callers)
    }

    /// Lets an edge's socket be open, unless there are too many.
    pub(crate) fn edge(&self) -> Option<Taken> {
        self.open.one()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_come_in_where_no_caller_does_and_some_are_left() {
        let descriptors = Descriptors::new(40, 10);
        let callers: Vec<_> = (0..22).map(|_| descriptors.caller()).collect();
        assert!(callers.iter().all(Option::is_some));
        assert!(descriptors.caller().is_none());
        let edges: Vec<_> = (0..4).map(|_| descriptors.edge()).collect();
        assert!(edges.iter().all(Option::is_some));
        assert!(descriptors.edge().is_none());
        drop(callers);
        assert!(descriptors.edge().is_some());
    }

    #[test]
    fn a_limit_below_what_is_open_lets_nobody_in() {
        assert!(Descriptors::new(8, 10).edge().is_none());
    }
}
