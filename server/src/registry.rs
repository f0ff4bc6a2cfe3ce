//! Which edge has which client id.
//!
//! Many readers, few writers. An id is first reserved, so that two edges that say hello at once cannot both have it,
//! and published once the tunnel is up. What removes an entry is a guard that knows its generation: a late goodbye
//! cannot evict a successor. Watchers are told of changes in the order in which they were made, under the same lock
//! that made them: no gap and no double after a snapshot.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use grpc_multiplexer_tunnel::ClientId;
use rand::Rng as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::edge::EdgeHandle;

/// Changes that a watcher may be behind before it is cut.
pub(crate) const WATCH_QUEUE: usize = 1024;
/// Watchers at a time.
const MAX_WATCHERS: usize = 1000;

/// Grows with every registration of this process.
pub(crate) type Generation = u64;

/// What watchers are told.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) client_id: ClientId,
    /// The edge that connected, or `None` when it disconnected.
    pub(crate) edge: Option<Arc<EdgeHandle>>,
    pub(crate) revision: u64,
}

/// The edges at one moment, sorted by id.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) edges: Vec<Arc<EdgeHandle>>,
    pub(crate) revision: u64,
}

/// What a watcher gets.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) snapshot: Snapshot,
    pub(crate) changes: mpsc::Receiver<Change>,
    /// Cancelled when the watcher fell too far behind.
    pub(crate) cut: CancellationToken,
}

/// Another edge has the id.
#[derive(Debug)]
pub(crate) struct Taken;

/// As many watchers as are served are there already.
#[derive(Debug)]
pub(crate) struct TooManyWatchers;

#[derive(Debug)]
pub(crate) struct Registry {
    state: RwLock<State>,
    /// Tells the revisions of one process from another's.
    process: u32,
}

/// One who watches: where changes go, and what cuts it.
#[derive(Debug)]
struct Watcher {
    changes: mpsc::Sender<Change>,
    cut: CancellationToken,
}

impl Watcher {
    /// Tells it, or cuts it if it is too far behind. False when it is no watcher any more.
    fn tell(&self, change: Change) -> bool {
        let told = self.changes.try_send(change);
        if let Err(mpsc::error::TrySendError::Full(_)) = told {
            self.cut.cancel();
        }
        told.is_ok()
    }
}

#[derive(Debug, Default)]
struct State {
    edges: HashMap<ClientId, Arc<EdgeHandle>>,
    reserved: BTreeSet<ClientId>,
    watchers: Vec<Watcher>,
    revision: u64,
    last_generation: Generation,
}

impl Registry {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: RwLock::default(),
            process: rand::rng().random(),
        })
    }

    /// The edge of that id, if its tunnel is up.
    pub(crate) fn get(&self, id: &ClientId) -> Option<Arc<EdgeHandle>> {
        self.read().edges.get(id).cloned()
    }

    /// Keeps `id` for a newcomer until its tunnel is up or the reservation is dropped.
    pub(crate) fn reserve(self: &Arc<Self>, id: &ClientId) -> Result<Reservation, Taken> {
        let mut state = self.write();
        if state.edges.contains_key(id) || !state.reserved.insert(id.clone()) {
            return Err(Taken);
        }
        state.last_generation += 1;
        Ok(Reservation {
            registry: Arc::clone(self),
            id: id.clone(),
            generation: state.last_generation,
            published: false,
        })
    }

    /// The edges now, sorted by id.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.read().snapshot()
    }

    /// The edges now, and every change from now on. The watcher is cut when it falls behind.
    pub(crate) fn watch(&self) -> Result<Subscription, TooManyWatchers> {
        let mut state = self.write();
        state
            .watchers
            .retain(|watcher| !watcher.changes.is_closed());
        if state.watchers.len() >= MAX_WATCHERS {
            return Err(TooManyWatchers);
        }
        let (sender, changes) = mpsc::channel(WATCH_QUEUE);
        let cut = CancellationToken::new();
        state.watchers.push(Watcher {
            changes: sender,
            cut: cut.clone(),
        });
        Ok(Subscription {
            snapshot: state.snapshot(),
            changes,
            cut,
        })
    }

    /// A revision as callers see it.
    pub(crate) fn show_revision(&self, revision: u64) -> String {
        format!("{:08x}-{revision}", self.process)
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        // A panic while the lock is held leaves maps that are still whole.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn snapshot(&self) -> Snapshot {
        let mut edges: Vec<_> = self.edges.values().cloned().collect();
        edges.sort_by(|a, b| a.client_id().cmp(b.client_id()));
        Snapshot {
            edges,
            revision: self.revision,
        }
    }

    /// Tells every watcher. One that is full is cut, one that is gone is freed.
    fn announce(&mut self, client_id: &ClientId, edge: Option<&Arc<EdgeHandle>>) {
        self.revision += 1;
        let change = Change {
            client_id: client_id.clone(),
            edge: edge.cloned(),
            revision: self.revision,
        };
        self.watchers.retain(|watcher| watcher.tell(change.clone()));
    }
}

/// An id kept for one newcomer.
#[derive(Debug)]
pub(crate) struct Reservation {
    registry: Arc<Registry>,
    id: ClientId,
    generation: Generation,
    published: bool,
}

impl Reservation {
    pub(crate) fn generation(&self) -> Generation {
        self.generation
    }

    /// Makes the edge reachable, until the returned guard is dropped.
    pub(crate) fn publish(mut self, edge: Arc<EdgeHandle>) -> Registration {
        let registration = Registration {
            registry: Arc::clone(&self.registry),
            id: self.id.clone(),
            generation: self.generation,
        };
        self.published = true;
        let mut state = self.registry.write();
        state.reserved.remove(&self.id);
        state.announce(&self.id, Some(&edge));
        state.edges.insert(self.id.clone(), edge);
        drop(state);
        registration
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.published {
            self.registry.write().reserved.remove(&self.id);
        }
    }
}

/// Keeps an edge reachable.
#[derive(Debug)]
pub(crate) struct Registration {
    registry: Arc<Registry>,
    id: ClientId,
    generation: Generation,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut state = self.registry.write();
        let ours = state
            .edges
            .get(&self.id)
            .is_some_and(|edge| edge.generation() == self.generation);
        if ours {
            state.edges.remove(&self.id);
            state.announce(&self.id, None);
        }
    }
}
