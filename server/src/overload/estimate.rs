//! How much memory is in use, of what is resident.

/// Takes into account what calls gave back and the allocator keeps: it serves new calls as well as free memory would.
///
/// Resident memory falls late, and in a process that has nothing to do not at all: a server that judged by it alone would
/// refuse calls long after those that filled it are gone.
#[derive(Debug, Default)]
pub(super) struct Estimate {
    /// Most that was resident, and what calls held then.
    peak: Option<(u64, u64)>,
}

impl Estimate {
    /// What is in use while so much is `resident` and calls hold `held`.
    pub(super) fn used(&mut self, resident: u64, held: u64) -> u64 {
        let peak = self.peak.filter(|(most, _)| resident <= *most);
        let (most, held_then) = peak.unwrap_or((resident, held));
        let used = most.saturating_sub(held_then.saturating_sub(held));
        // Where even more was returned to the system, a new peak begins.
        self.peak = (resident >= used).then_some((most, held_then));
        resident.min(used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_back_is_free_though_it_is_resident() {
        let mut estimate = Estimate::default();
        assert_eq!(estimate.used(100, 0), 100);
        assert_eq!(estimate.used(900, 700), 900);
        assert_eq!(estimate.used(900, 100), 300);
        assert_eq!(estimate.used(890, 0), 200);
        // It is used again, and no more is resident.
        assert_eq!(estimate.used(890, 500), 700);
        assert_eq!(estimate.used(890, 700), 890);
    }

    #[test]
    fn what_returned_to_the_system_counts_once() {
        let mut estimate = Estimate::default();
        assert_eq!(estimate.used(900, 700), 900);
        assert_eq!(estimate.used(200, 0), 200);
        assert_eq!(estimate.used(800, 600), 800);
        assert_eq!(estimate.used(950, 600), 950);
    }
}
