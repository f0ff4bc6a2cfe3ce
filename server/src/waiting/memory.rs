//! Which edges were here: those that are, and those that left, as long as that is remembered. Pure.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use grpc_multiplexer_tunnel::{ClientId, Labels};
use tokio::time::Instant;

/// Edges that left and are remembered, at some 300 bytes each beside their labels; who left first is forgotten first. Only an
/// edge that was admitted gets in, so callers cannot fill it.
const MOST: usize = 100_000;
/// Bytes of their labels, in memory: those of all of them with four each of the usual length.
const LABELS: usize = 64 * 1024 * 1024;
/// What a label takes beside its characters: its place in a tree whose nodes are half full, and two allocations.
const LABEL: usize = 128;

#[derive(Debug, Default)]
pub(super) struct Memory {
    /// With the departure of those that left.
    seen: HashMap<ClientId, Option<Departure>>,
    left: BTreeMap<Departure, Left>,
    /// What their labels take.
    labels: usize,
    last: Departure,
}

#[derive(Debug)]
struct Left {
    id: ClientId,
    since: Instant,
    labels: Labels,
}

/// Counts departures, in their order.
type Departure = u64;

impl Memory {
    pub(super) fn arrived(&mut self, id: &ClientId) {
        if let Some(Some(departure)) = self.seen.insert(id.clone(), None) {
            self.remove(departure);
        }
    }

    pub(super) fn left(&mut self, id: &ClientId, labels: &Labels, now: Instant) {
        self.last += 1;
        // Twice gone is gone.
        if let Some(Some(before)) = self.seen.insert(id.clone(), Some(self.last)) {
            self.remove(before);
        }
        let left = Left {
            id: id.clone(),
            since: now,
            labels: labels.clone(),
        };
        self.left.insert(self.last, left);
        self.labels += weight(labels);
        while self.left.len() > MOST || self.labels > LABELS {
            self.forget_first();
        }
    }

    /// Forgets who left that long ago.
    pub(super) fn forget(&mut self, now: Instant, after: Duration) {
        while let Some((_, left)) = self.left.first_key_value()
            && now.saturating_duration_since(left.since) >= after
        {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, left)) = self.left.pop_first() {
            self.labels -= weight(&left.labels);
            self.seen.remove(&left.id);
        }
    }

    fn remove(&mut self, departure: Departure) {
        if let Some(left) = self.left.remove(&departure) {
            self.labels -= weight(&left.labels);
        }
    }

    /// The labels of one that left.
    pub(super) fn labels(&self, id: &ClientId) -> Option<&Labels> {
        let departure = (*self.seen.get(id)?)?;
        Some(&self.left.get(&departure)?.labels)
    }

    pub(super) fn knows(&self, id: &ClientId) -> bool {
        self.seen.contains_key(id)
    }
}

/// About the bytes that they take.
fn weight(labels: &Labels) -> usize {
    let labels = labels.iter();
    labels
        .map(|(key, value)| key.len() + value.len() + LABEL)
        .sum()
}

#[cfg(test)]
mod tests {
    use grpc_multiplexer_tunnel::Label;

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
        memory.left(&left, &Labels::default(), now);
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
        memory.left(&id("a"), &Labels::default(), now);
        memory.arrived(&id("a"));
        memory.left(&id("b"), &Labels::default(), now + DAY);
        memory.forget(now + DAY, DAY);
        assert!(memory.knows(&id("a")));
        assert_eq!((memory.seen.len(), memory.left.len()), (2, 1));
    }

    #[test]
    fn of_too_many_who_left_first_is_forgotten() {
        let mut memory = Memory::default();
        let now = Instant::now();
        for n in 0..=MOST {
            memory.left(&id(n), &Labels::default(), now);
        }
        assert!(!memory.knows(&id(0)));
        assert!(memory.knows(&id(1)));
        assert_eq!((memory.seen.len(), memory.left.len()), (MOST, MOST));
        // One that flaps takes one place.
        for _ in 0..10 {
            memory.left(&id("flaps"), &Labels::default(), now);
        }
        assert!(memory.knows(&id(2)));
        assert_eq!((memory.seen.len(), memory.left.len()), (MOST, MOST));
    }

    fn labels(value: &str) -> Labels {
        Labels::new((10..40).map(|n| Label::new(format!("k{n}"), value).unwrap())).unwrap()
    }

    #[test]
    fn the_labels_of_those_who_left_are_bounded_too() {
        let mut memory = Memory::default();
        let now = Instant::now();
        let value = "v".repeat(60);
        let labels = labels(&value);
        let most = LABELS / weight(&labels);
        for n in 0..=most {
            memory.left(&id(n), &labels, now);
        }
        assert_eq!(memory.labels(&id(0)), None);
        assert!(!memory.knows(&id(0)));
        assert_eq!(memory.labels(&id(1)), Some(&labels));
        memory.arrived(&id(1));
        memory.left(&id(2), &Labels::default(), now);
        assert_eq!(memory.labels(&id(1)), None, "it is here");
        assert_eq!(memory.labels, (most - 2) * weight(&labels));
        memory.forget(now + DAY, DAY);
        assert_eq!((memory.labels, memory.left.len()), (0, 0));
    }

    /// Short ones have few characters, and take memory all the same.
    #[test]
    fn many_labels_without_a_value_are_bounded_alike() {
        let mut memory = Memory::default();
        let labels = labels("");
        for n in 0..=MOST {
            memory.left(&id(n), &labels, Instant::now());
        }
        assert!(memory.left.len() <= LABELS / (30 * LABEL));
        assert_eq!(memory.labels(&id(MOST)), Some(&labels));
    }
}
