//! What holds whatever happens, and the turns one by one.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// A queue of which all places are taken.
fn full(most: usize) -> Queue<u8, u32> {
    let mut queue = Queue::new(1, most);
    assert!(queue.try_take());
    queue
}

/// Who gets the places that `owner` gives back, in order.
fn served(queue: &mut Queue<u8, u32>, owner: u8, times: usize) -> Vec<u32> {
    let next = |_| queue.give_back(owner).map(|(_, waiter)| waiter);
    (0..times).map_while(next).collect()
}

#[test]
fn a_single_call_waits_for_one_turn_and_not_for_a_thousand_calls() {
    let mut queue = full(2000);
    for n in 0..1000 {
        queue.wait(1, n).unwrap();
    }
    queue.wait(2, 5000).unwrap();
    assert_eq!(served(&mut queue, 9, 3), [0, 5000, 1]);
}

#[test]
fn a_place_goes_to_another_while_another_waits() {
    let mut queue = full(10);
    for n in 10..13 {
        queue.wait(1, n).unwrap();
    }
    queue.wait(2, 20).unwrap();
    queue.wait(2, 21).unwrap();
    // Owner 1 is the next, and gives back a place itself.
    assert_eq!(served(&mut queue, 1, 3), [20, 21, 10]);
    assert_eq!(served(&mut queue, 2, 9), [11, 12]);
    assert_eq!(queue.free(), 1);
}

#[test]
fn a_full_queue_is_shared() {
    let mut queue = full(4);
    for n in 10..14 {
        queue.wait(1, n).unwrap();
    }
    assert_eq!(queue.wait(1, 14), Err(Full));
    assert_eq!(queue.wait(2, 20).unwrap().1, Some(13), "the newest leaves");
    assert_eq!(queue.wait(2, 21).unwrap().1, Some(12));
    assert_eq!(queue.wait(2, 22), Err(Full), "both have as much");
    let out = queue.wait(3, 30).unwrap().1;
    assert!([Some(11), Some(21)].contains(&out), "{out:?}");
}

#[test]
fn without_a_queue_nobody_waits() {
    assert_eq!(full(0).wait(1, 1), Err(Full));
}

#[derive(Debug, Clone)]
enum Step {
    Ask(u8),
    GiveBack(prop::sample::Index),
    Leave(prop::sample::Index),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u8..5).prop_map(Step::Ask),
        2 => any::<prop::sample::Index>().prop_map(Step::GiveBack),
        1 => any::<prop::sample::Index>().prop_map(Step::Leave),
    ];
    proptest::collection::vec(step, 0..200)
}

/// What the queue should know, the slow way.
#[derive(Default)]
struct Model {
    held: Vec<u8>,
    /// In the order in which they lined up.
    waiting: Vec<(u8, Ticket)>,
}

impl Model {
    fn in_queue(&self) -> HashMap<u8, usize> {
        let mut counts = HashMap::new();
        for (owner, _) in &self.waiting {
            *counts.entry(*owner).or_default() += 1;
        }
        counts
    }
}

const PLACES: usize = 3;
const MOST: usize = 6;

proptest! {
    #[test]
    fn places_and_waiters_are_never_lost(steps in steps()) {
        let mut queue = Queue::new(PLACES, MOST);
        let mut model = Model::default();
        let mut name = 0;
        let mut named: HashMap<u32, Ticket> = HashMap::new();
        for step in steps {
            match step {
                Step::Ask(owner) => {
                    if queue.try_take() {
                        prop_assert!(model.waiting.is_empty(), "jumped the queue");
                        model.held.push(owner);
                        continue;
                    }
                    prop_assert_eq!(model.held.len(), PLACES);
                    name += 1;
                    let counts = model.in_queue();
                    let own = counts.get(&owner).copied().unwrap_or(0);
                    let longest = counts.values().copied().max().unwrap_or(0);
                    let full = model.waiting.len() == MOST;
                    match queue.wait(owner, name) {
                        Ok((ticket, out)) => {
                            prop_assert_eq!(out.is_some(), full);
                            prop_assert!(!full || longest > own + 1);
                            if let Some(out) = out {
                                let ticket = named[&out];
                                let at = model.waiting.iter().position(|w| w.1 == ticket);
                                let (victim, _) = model.waiting.remove(at.unwrap());
                                prop_assert_eq!(counts[&victim], longest);
                            }
                            named.insert(name, ticket);
                            model.waiting.push((owner, ticket));
                        }
                        Err(Full) => prop_assert!(full && longest <= own + 1),
                    }
                }
                Step::GiveBack(_) if model.held.is_empty() => {}
                Step::GiveBack(which) => {
                    let owner = model.held.swap_remove(which.index(model.held.len()));
                    let counts = model.in_queue();
                    let Some((next, waiter)) = queue.give_back(owner) else {
                        prop_assert!(model.waiting.is_empty(), "a place was kept from those who wait");
                        continue;
                    };
                    prop_assert!(next != owner || counts.len() == 1, "handed to itself");
                    let at = model.waiting.iter().position(|w| w.1 == named[&waiter]).unwrap();
                    let first = model.waiting.iter().position(|w| w.0 == next);
                    prop_assert_eq!(Some(at), first, "the oldest of its owner");
                    model.waiting.remove(at);
                    model.held.push(next);
                }
                Step::Leave(_) if model.waiting.is_empty() => {}
                Step::Leave(which) => {
                    let (owner, ticket) = model.waiting.remove(which.index(model.waiting.len()));
                    prop_assert!(queue.leave(owner, ticket));
                    prop_assert!(!queue.leave(owner, ticket));
                }
            }
            prop_assert_eq!(queue.free(), PLACES - model.held.len());
            prop_assert_eq!(queue.waiting, model.waiting.len());
            prop_assert_eq!(queue.turns.len(), model.in_queue().len());
        }
    }

    /// Between two turns of an owner, every other that waits has one, whoever gives places back.
    #[test]
    fn nobody_has_two_turns_while_another_waits(
        waiting in proptest::collection::vec(0u8..5, 1..60),
        from in 5u8..7,
    ) {
        let mut queue = full(100);
        for (n, owner) in waiting.iter().enumerate() {
            queue.wait(*owner, n as u32).unwrap();
        }
        let mut left = HashMap::new();
        for owner in &waiting {
            *left.entry(*owner).or_insert(0usize) += 1;
        }
        let mut turns: HashMap<u8, usize> = HashMap::new();
        for _ in &waiting {
            let (next, _) = queue.give_back(from).unwrap();
            let had = *turns.entry(next).and_modify(|n| *n += 1).or_insert(1);
            *left.get_mut(&next).unwrap() -= 1;
            for (other, left) in &left {
                let has = turns.get(other).copied().unwrap_or(0);
                prop_assert!(*left == 0 || has + 1 >= had, "{other} was passed over");
            }
        }
    }
}
