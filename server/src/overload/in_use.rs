//! How much of the resident memory is in use.
//!
//! Allocators keep what is freed, some of it for ever, so resident memory tells how much was in use at some time. Taken
//! for what is in use now, a server that was overloaded once would refuse calls for the rest of its life. So what calls and
//! connections gave back is remembered: until they take it again, or it leaves the resident memory, it is free.

/// What one call takes beside the bytes it holds, as it were. Low, so that less is taken for free than is.
const CALL: u64 = 8 * 1024;
/// And one connection.
const CONNECTION: u64 = 16 * 1024;

/// What the process has to do with, as far as it is counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// Bytes that calls hold.
    pub(super) held: u64,
    pub(super) calls: usize,
    pub(super) connections: usize,
}

impl Load {
    fn bytes(self) -> u64 {
        self.held + self.calls as u64 * CALL + self.connections as u64 * CONNECTION
    }
}

/// The memory in use, from one look to the next.
#[derive(Debug, Default)]
pub(super) struct InUse {
    /// What the process had before it had any load.
    least: Option<u64>,
    resident: u64,
    load: u64,
    /// Resident, and free to be used again.
    free: u64,
}

impl InUse {
    /// Bytes in use at a look.
    pub(super) fn look(&mut self, resident: u64, load: Load) -> u64 {
        let load = load.bytes();
        let least = *self.least.get_or_insert(resident);
        let given_back = self.load.saturating_sub(load);
        let taken = load.saturating_sub(self.load);
        let left = self.resident.saturating_sub(resident);
        self.free = (self.free + given_back)
            .saturating_sub(taken)
            .saturating_sub(left)
            .min(resident.saturating_sub(least));
        self.resident = resident;
        self.load = load;
        resident - self.free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(held: u64) -> Load {
        Load {
            held,
            calls: 0,
            connections: 0,
        }
    }

    /// What is in use at each look.
    fn looks<const N: usize>(looks: [(u64, Load); N]) -> [u64; N] {
        let mut in_use = InUse::default();
        looks.map(|(resident, load)| in_use.look(resident, load))
    }

    #[test]
    fn what_was_given_back_and_kept_by_the_allocator_is_free() {
        let found = looks([
            (20, holding(0)),
            (120, holding(100)),
            (120, holding(10)),
            // Used again, without growth.
            (120, holding(60)),
            (130, holding(110)),
        ]);
        assert_eq!(found, [20, 120, 30, 80, 130]);
    }

    #[test]
    fn what_the_allocator_gave_back_is_not_counted_twice() {
        let found = looks([
            (20, holding(0)),
            (120, holding(100)),
            (120, holding(0)),
            (50, holding(0)),
            (150, holding(100)),
        ]);
        assert_eq!(found, [20, 120, 20, 20, 150]);
    }

    #[test]
    fn no_more_is_free_than_there_is() {
        // More was held than became resident: pages that were never touched.
        let found = looks([(20, holding(0)), (60, holding(100)), (60, holding(0))]);
        assert_eq!(found, [20, 60, 20]);
    }

    #[test]
    fn memory_that_nobody_gave_back_is_in_use() {
        let found = looks([(20, holding(0)), (90, holding(0)), (95, holding(0))]);
        assert_eq!(found, [20, 90, 95]);
    }

    #[test]
    fn calls_and_connections_that_ended_gave_back_what_they_took() {
        let load = |calls, connections| Load {
            held: 0,
            calls,
            connections,
        };
        let all = 100 * CALL + 10 * CONNECTION;
        let found = looks([
            (0, load(0, 0)),
            (2 * all, load(100, 10)),
            (2 * all, load(0, 0)),
        ]);
        assert_eq!(found, [0, 2 * all, all]);
    }
}
