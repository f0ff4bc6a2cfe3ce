//! What the hook is still to be told of edges.
//!
//! The registry puts in what happens, under its own lock, and never waits. Of each client id the hook is told in order, one
//! thing after the other; what goes wrong with one id keeps no other waiting.
//!
//! What waits is bounded without the hook ever being told a half: of an epoch that ended before the hook heard of it, both
//! ends may be dropped, the oldest first, once there are [`EPOCHS`] of them. So whatever was dropped, what the hook hears of
//! an id is CONNECTED and DISCONNECTED in turn, and the last of it is true. What cannot be dropped is no more than two or
//! three for each id that had a tunnel when the hook was last heard of, has one now, or is told of, which are only so many at
//! a time.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use grpc_multiplexer_process::Seldom;
use grpc_multiplexer_tunnel::ClientId;
use tokio::sync::Notify;
use tracing::warn;

use super::{Context, HookMetrics};
use crate::edge::EdgeHandle;
use crate::registry::Generation;

/// Epochs that are over and are kept although the hook heard nothing of them yet: a few megabytes.
const EPOCHS: usize = 10_000;

/// One end of an epoch.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) client_id: ClientId,
    /// The generation of the first tunnel.
    pub(super) epoch: Generation,
    pub(super) time: SystemTime,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Connected {
        remote: SocketAddr,
        version: String,
        context: Context,
    },
    /// And why, where an operator brought it about.
    Disconnected(Option<Arc<str>>),
}

/// All that waits. It takes nothing until it is [opened](Self::open).
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    /// Somebody is to tell of one more id.
    more: Notify,
    /// Nothing waits any more.
    empty: Notify,
    dropped: Seldom,
}

#[derive(Debug, Default)]
struct State {
    /// Where it is counted, once it is open.
    metrics: Option<HookMetrics>,
    ids: HashMap<ClientId, Waiting>,
    /// Those of which nobody tells yet, by the epoch that they came with.
    new: BTreeMap<Generation, ClientId>,
    /// Epochs of which both ends wait, and neither is being told.
    whole: BTreeMap<Generation, ClientId>,
}

/// What waits of one id.
#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<Arc<Event>>,
    /// Whether the hook may have heard of the first one.
    is_under_way: bool,
    /// Where it is among those of which nobody tells yet.
    new: Option<Generation>,
}

impl Outbox {
    /// Takes events from now on.
    pub(crate) fn open(&self, metrics: HookMetrics) {
        self.lock().metrics = Some(metrics);
    }

    /// The first tunnel of an id is up.
    pub(crate) fn connected(&self, edge: &EdgeHandle) {
        self.put(edge.client_id(), edge.generation(), || What::Connected {
            remote: edge.remote(),
            version: edge.software().to_owned(),
            context: edge.context().clone(),
        });
    }

    /// The last one is gone.
    pub(crate) fn disconnected(&self, id: &ClientId, epoch: Generation, why: Option<&Arc<str>>) {
        self.put(id, epoch, || What::Disconnected(why.cloned()));
    }

    fn put(&self, id: &ClientId, epoch: Generation, what: impl FnOnce() -> What) {
        let mut state = self.lock();
        if state.metrics.is_none() {
            return;
        }
        let event = Event {
            client_id: id.clone(),
            epoch,
            time: SystemTime::now(),
            what: what(),
        };
        if state.put(event) {
            self.more.notify_one();
        }
        if state.whole.len() > EPOCHS {
            state.drop_oldest();
            if let Some(times) = self.dropped.again() {
                warn!(
                    times,
                    "the hook is too far behind: epochs of edges that are over are not told"
                );
            }
        }
    }

    /// The next id that somebody is to tell of.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub(super) async fn next(&self) -> ClientId {
        loop {
            if let Some(id) = self.lock().next() {
                return id;
            }
            self.more.notified().await;
        }
    }

    /// What the hook is to be told next of `id`; `None` when there is nothing, and nobody tells of it any more.
    pub(super) fn first(&self, id: &ClientId) -> Option<Arc<Event>> {
        let mut state = self.lock();
        let waiting = state.ids.get_mut(id)?;
        if let Some(first) = waiting.events.front().cloned() {
            waiting.is_under_way = true;
            state.whole.remove(&first.epoch);
            return Some(first);
        }
        state.ids.remove(id);
        if state.ids.is_empty() {
            self.empty.notify_waiters();
        }
        None
    }

    /// It was told.
    pub(super) fn told(&self, id: &ClientId) {
        let mut state = self.lock();
        if let Some(waiting) = state.ids.get_mut(id) {
            waiting.events.pop_front();
            waiting.is_under_way = false;
        }
        state.count(-1);
    }

    /// Waits until nothing waits.
    pub(crate) async fn emptied(&self) {
        loop {
            let mut empty = pin!(self.empty.notified());
            empty.as_mut().enable();
            if self.lock().ids.is_empty() {
                return;
            }
            empty.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held leaves queues that are still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// True when somebody is to tell of one more id.
    fn put(&mut self, event: Event) -> bool {
        let (id, epoch) = (event.client_id.clone(), event.epoch);
        let (is_new, waiting) = match self.ids.entry(id.clone()) {
            Entry::Occupied(entry) => (false, entry.into_mut()),
            Entry::Vacant(entry) => (true, entry.insert(Waiting::since(epoch))),
        };
        let mut untold = waiting.events.iter().skip(waiting.is_under_way.into());
        let is_whole = untold.next_back().is_some_and(|last| last.epoch == epoch);
        waiting.events.push_back(Arc::new(event));
        if is_new {
            self.new.insert(epoch, id.clone());
        }
        if is_whole {
            self.whole.insert(epoch, id);
        }
        self.count(1);
        is_new
    }

    /// The id that somebody is to tell of next, who does from now on.
    fn next(&mut self) -> Option<ClientId> {
        let (_, id) = self.new.pop_first()?;
        if let Some(waiting) = self.ids.get_mut(&id) {
            waiting.new = None;
        }
        Some(id)
    }

    fn drop_oldest(&mut self) {
        let Some((epoch, id)) = self.whole.pop_first() else {
            return;
        };
        if let Entry::Occupied(mut entry) = self.ids.entry(id) {
            let waiting = entry.get_mut();
            waiting.drop(epoch);
            // Whoever tells of it sees to that, where somebody does.
            if waiting.events.is_empty()
                && let Some(place) = waiting.new
            {
                entry.remove();
                self.new.remove(&place);
            }
        }
        self.count(-2);
        if let Some(metrics) = &self.metrics {
            metrics.dropped.inc();
        }
    }

    fn count(&self, change: i64) {
        if let Some(metrics) = &self.metrics {
            metrics.waiting.inc_by(change);
        }
    }
}

impl Waiting {
    fn since(epoch: Generation) -> Self {
        Self {
            new: Some(epoch),
            ..Self::default()
        }
    }

    /// Drops both ends of an epoch, which are neighbours, and near the front where it is an old one.
    fn drop(&mut self, epoch: Generation) {
        let mut events = self.events.iter();
        if let Some(at) = events.position(|event| event.epoch == epoch) {
            self.events.drain(at..at + 2);
        }
    }
}

#[cfg(test)]
mod tests;
