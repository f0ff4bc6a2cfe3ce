//! Who gets the next place: places, and a bounded queue of those who wait for one. Pure; [`Places`](super::places) is
//! the same with tasks that wait.
//!
//! Everybody who waits belongs to an *owner* (a caller connection), and owners take turns: one that wants a thousand
//! places and one that wants a single place wait alike for the next. A place that comes free goes to another owner than
//! the one that had it, as long as another waits: so one that holds all places gives them up, one by one as its calls
//! end, and cannot hand them to itself for ever.
//!
//! The queue is shared in the same way: when it is full, who has most in it gives up its newest for one who has fewer.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Which of the waiting is meant.
pub(crate) type Ticket = u64;

/// The queue is full, and nobody has more in it than who asks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

#[derive(Debug)]
pub(crate) struct Queue<O, W> {
    free: usize,
    most: usize,
    waiting: usize,
    last: Ticket,
    /// Owners of those who wait, the next one first, each once.
    turns: VecDeque<O>,
    waiters: HashMap<O, VecDeque<(Ticket, W)>>,
}

impl<O: Copy + Eq + Hash, W> Queue<O, W> {
    /// So many free places, and a queue for so many.
    pub(crate) fn new(places: usize, most: usize) -> Self {
        Self {
            free: places,
            most,
            waiting: 0,
            last: 0,
            turns: VecDeque::new(),
            waiters: HashMap::new(),
        }
    }

    /// Places that nobody has. Nobody waits while there is one.
    pub(crate) fn free(&self) -> usize {
        self.free
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Takes a free place.
    pub(crate) fn try_take(&mut self) -> bool {
        let free = self.free > 0;
        self.free -= usize::from(free);
        free
    }

    /// Lines up `waiter`, where no place is free. Somebody else's may have to leave for it, and is returned.
    pub(crate) fn wait(&mut self, owner: O, waiter: W) -> Result<(Ticket, Option<W>), Full> {
        let pushed_out = if self.waiting < self.most {
            None
        } else {
            Some(self.push_out(owner)?)
        };
        self.last += 1;
        self.waiting += 1;
        let own = self.waiters.entry(owner).or_default();
        if own.is_empty() {
            self.turns.push_back(owner);
        }
        own.push_back((self.last, waiter));
        Ok((self.last, pushed_out))
    }

    /// Takes the newest of whoever has most in the queue, if that is more than `owner` will have.
    fn push_out(&mut self, owner: O) -> Result<W, Full> {
        let own = self.waiters.get(&owner).map_or(0, VecDeque::len);
        let longest = self.waiters.iter().max_by_key(|(_, own)| own.len());
        let (&longest, has) = longest.ok_or(Full)?;
        if has.len() <= own + 1 {
            return Err(Full);
        }
        self.remove(longest, VecDeque::pop_back).ok_or(Full)
    }

    /// A place of `owner`'s came free: who has it now, and who waited for it. Nobody, if nobody waits.
    pub(crate) fn give_back(&mut self, owner: O) -> Option<(O, W)> {
        let another = self.turns.iter().position(|next| *next != owner);
        let Some(next) = self.turns.remove(another.unwrap_or(0)) else {
            self.free += 1;
            return None;
        };
        // Behind the others with what it still has in the queue.
        self.turns.push_back(next);
        let waiter = self.remove(next, VecDeque::pop_front)?;
        Some((next, waiter))
    }

    /// One who waits does not wait any more. False when it has its place already, or was pushed out.
    pub(crate) fn leave(&mut self, owner: O, ticket: Ticket) -> bool {
        let of_ticket = |own: &mut VecDeque<(Ticket, W)>| {
            let place = own.binary_search_by_key(&ticket, |(ticket, _)| *ticket);
            own.remove(place.ok()?)
        };
        self.remove(owner, of_ticket).is_some()
    }

    fn remove(
        &mut self,
        owner: O,
        which: impl FnOnce(&mut VecDeque<(Ticket, W)>) -> Option<(Ticket, W)>,
    ) -> Option<W> {
        let own = self.waiters.get_mut(&owner)?;
        let (_, waiter) = which(own)?;
        self.waiting -= 1;
        if own.is_empty() {
            self.waiters.remove(&owner);
            self.turns.retain(|other| *other != owner);
        }
        Some(waiter)
    }
}

#[cfg(test)]
mod tests;
