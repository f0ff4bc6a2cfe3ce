//! Which edges were here: those that are, and those that left, as long as that is remembered. Pure.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use grpc_multiplexer_tunnel::ClientId;
use tokio::time::Instant;

/// Edges that left and are remembered, at some 300 bytes each; who left first is forgotten first. Only an edge that was
/// admitted gets in, so callers cannot fill it.
const MOST: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Memory {
    /// With the departure of those that left.
    seen: HashMap<ClientId, Option<Departure>>,
    left: BTreeMap<Departure, (ClientId, Instant)>,
    last: Departure,
}

/// Counts departures, in their order.
type Departure = u64;

impl Memory {
    pub(super) fn arrived(&mut self, id: &ClientId) {
        if let Some(Some(departure)) = self.seen.insert(id.clone(), None) {
            self.left.remove(&departure);
        }
    }

    pub(super) fn left(&mut self, id: &ClientId, now: Instant) {
        self.last += 1;
        // Twice gone is gone.
        if let Some(Some(before)) = self.seen.insert(id.clone(), Some(self.last)) {
            self.left.remove(&before);
        }
        self.left.insert(self.last, (id.clone(), now));
        if self.left.len() > MOST {
            self.forget_first();
        }
    }

    /// Forgets who left that long ago.
    pub(super) fn forget(&mut self, now: Instant, after: Duration) {
        while let Some((_, (_, since))) = self.left.first_key_value()
            && now.saturating_duration_since(*since) >= after
        {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, (id, _))) = self.left.pop_first() {
            self.seen.remove(&id);
        }
    }

    pub(super) fn knows(&self, id: &ClientId) -> bool {
        self.seen.contains_key(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn id(name: impl std::fmt::Display) -> ClientId {
        name.to_string().parse().unwrap()
    }

    #[test]
    fn who_was_here_is_known_for_a_while() {
        let mut memory = Memory::default();
        let now = Instant::now();
        let (here, left) = (id("here"), id("left"));
        assert!(!memory.knows(&here));
        memory.arrived(&here);
        memory.arrived(&left);
        memory.left(&left, now);
        memory.forget(now + DAY / 2, DAY);
        assert!(memory.knows(&left));
        memory.forget(now + DAY, DAY);
        assert!(memory.knows(&here));
        assert!(!memory.knows(&left));
        assert_eq!((memory.seen.len(), memory.left.len()), (1, 0));
    }

    #[test]
    fn who_comes_back_is_not_forgotten_with_who_left() {
        let mut memory = Memory::default();
        let now = Instant::now();
        memory.left(&id("a"), now);
        memory.arrived(&id("a"));
        memory.left(&id("b"), now + DAY);
        memory.forget(now + DAY, DAY);
        assert!(memory.knows(&id("a")));
        assert_eq!((memory.seen.len(), memory.left.len()), (2, 1));
    }

    #[test]
    fn of_too_many_who_left_first_is_forgotten() {
        let mut memory = Memory::default();
        let now = Instant::now();
        for n in 0..=MOST {
            memory.left(&id(n), now);
        }
        assert!(!memory.knows(&id(0)));
        assert!(memory.knows(&id(1)));
        assert_eq!((memory.seen.len(), memory.left.len()), (MOST, MOST));
        // One that flaps takes one place.
        for _ in 0..10 {
            memory.left(&id("flaps"), now);
        }
        assert!(memory.knows(&id(2)));
        assert_eq!((memory.seen.len(), memory.left.len()), (MOST, MOST));
    }
}
