//! Which edge has which client id.
//!
//! Many readers, few writers. An id has one tunnel, or several: those of one edge side by side, or those of several edges
//! that share it. A newcomer gets its place, and whoever had it loses it, in one step under one lock (`entry` says who
//! gets it), so there is no moment at which two have it, or nobody. What gives a place back is a guard that knows its
//! generation: a late goodbye cannot evict a successor.
//!
//! An *epoch* of an id begins with its first tunnel and ends with its last. Watchers are told of changes in the order in
//! which they were made, under the same lock that made them: no gap and no double after a snapshot, and for each epoch
//! one CONNECTED and one DISCONNECTED, strictly in turn.

mod bans;
mod entry;
mod identity;
mod kick;
mod probe;
mod relabelled;
mod sessions;
mod takeovers;
mod watchers;

use std::collections::HashMap;
use std::future::pending;
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use grpc_multiplexer_tunnel::{ClientId, Labels};
use rand::Rng as _;
use tokio::sync::oneshot;

use crate::DuplicateClientId;
use crate::edge::EdgeHandle;
use crate::hooks::Outbox;
use crate::policy::Rights;
use crate::waiting::Waiting;
pub(crate) use bans::Ban;
use bans::Bans;
use entry::Entry;
pub(crate) use entry::{Ousted, Why};
pub(crate) use identity::{Identity, Token};
pub(crate) use kick::NotKicked;
use relabelled::Relabelled;
pub(crate) use sessions::Sessions;
use watchers::Watchers;
pub(crate) use watchers::{Change, Event, Subscription, TooManyWatchers};

/// Grows with every registration of this process.
pub(crate) type Generation = u64;

/// The ids that have a tunnel at one moment, sorted.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) edges: Vec<Arc<Sessions>>,
    pub(crate) revision: u64,
}

/// A tunnel that wants an id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Newcomer<'a> {
    pub(crate) id: &'a ClientId,
    /// What its edge says of itself, if anything.
    pub(crate) identity: Option<&'a Identity>,
    /// What to do when others have the id.
    pub(crate) duplicates: DuplicateClientId,
    /// Of those, who was asked for a sign of life and gave none.
    pub(crate) silent: &'a [Generation],
}

/// Why a newcomer does not get its id.
#[derive(Debug)]
pub(crate) enum Conflict {
    /// An operator keeps it out.
    Banned(Ban),
    /// Another edge has it.
    Taken,
    /// It passed from one edge to another too often of late.
    Held {
        /// For how long it stays where it is.
        left: Duration,
        /// Whose it is; only for the first who is refused for this.
        incumbent: Option<SocketAddr>,
    },
}

/// A tunnel that got its id.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) edge: Arc<EdgeHandle>,
    /// The edge is reachable while this lives, unless another takes its place.
    pub(crate) registration: Registration,
    /// What proves that a later tunnel is the same edge's.
    pub(crate) token: Option<Token>,
}

#[derive(Debug)]
pub(crate) struct Registry {
    state: RwLock<State>,
    waiting: Arc<Waiting>,
    relabelled: Arc<Relabelled>,
    outbox: Arc<Outbox>,
    /// Tells the revisions of one process from another's.
    process: u32,
    marks: RandomState,
}

impl Snapshot {
    /// What those see of it who have these rights.
    pub(crate) fn seen_by(mut self, rights: &Rights) -> Self {
        let sees = |edge: &Arc<Sessions>| rights.see(edge.client_id(), edge.labels());
        self.edges.retain(sees);
        self
    }
}

#[derive(Debug, Default)]
struct State {
    /// None of them is empty.
    ids: HashMap<ClientId, Entry>,
    /// Every tunnel that has not ended, also those that lost their place to another or that take no calls any more.
    tunnels: HashMap<ClientId, Vec<Arc<EdgeHandle>>>,
    bans: Bans,
    watchers: Watchers,
    /// Is told, under the same lock, which ids come and leave.
    waiting: Arc<Waiting>,
    /// The same, of whose labels are others now.
    relabelled: Arc<Relabelled>,
    /// Is told so, too, of epochs.
    outbox: Arc<Outbox>,
    revision: u64,
    last_generation: Generation,
}

impl Registry {
    pub(crate) fn new() -> Arc<Self> {
        let state = State::default();
        Arc::new(Self {
            waiting: Arc::clone(&state.waiting),
            relabelled: Arc::clone(&state.relabelled),
            outbox: Arc::clone(&state.outbox),
            state: RwLock::new(state),
            process: rand::rng().random(),
            marks: RandomState::new(),
        })
    }

    /// The edge for a new call to that id, if one of its tunnels is up.
    pub(crate) fn get(&self, id: &ClientId) -> Option<Arc<EdgeHandle>> {
        self.read().ids.get(id)?.sessions.pick().cloned()
    }

    /// The labels of that id: those that all its tunnels have, or had when the last one left. `None` if nothing is known of it.
    pub(crate) fn labels(&self, id: &ClientId) -> Option<Labels> {
        let state = self.read();
        match state.ids.get(id) {
            Some(entry) => Some(entry.sessions.labels().clone()),
            None => self.waiting.labels(id),
        }
    }

    /// Whom changes of labels are told.
    pub(crate) fn relabelled(&self) -> &Relabelled {
        &self.relabelled
    }

    /// The calls that wait for edges.
    pub(crate) fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    /// What the hook is to be told of edges.
    pub(crate) fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// Gives `newcomer` its id, and makes it reachable as what `edge` makes of its generation.
    pub(crate) fn register(
        self: &Arc<Self>,
        newcomer: &Newcomer<'_>,
        edge: impl FnOnce(Generation) -> EdgeHandle,
    ) -> Result<Registered, Conflict> {
        let token = newcomer.identity.map(|_| Token::random());
        let identity = newcomer.identity.zip(token.clone());
        let id = newcomer.id.clone();
        let mut state = self.write();
        let (edge, ousted) = state.register(newcomer, identity, edge)?;
        drop(state);
        let registration = Registration {
            registry: Arc::clone(self),
            id,
            generation: edge.generation(),
            ousted,
        };
        Ok(Registered {
            edge,
            registration,
            token,
        })
    }

    /// The ids now, sorted.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.read().snapshot()
    }

    /// Every tunnel that takes calls now.
    pub(crate) fn edges(&self) -> Vec<Arc<EdgeHandle>> {
        let state = self.read();
        let entries = state.ids.values();
        entries
            .flat_map(|entry| entry.sessions.iter().cloned())
            .collect()
    }

    /// The ids now, and every change from now on, as far as `rights` let them be seen; those within an epoch only for who knows
    /// `updates`. The watcher is cut when it falls behind.
    pub(crate) fn watch(
        &self,
        updates: bool,
        rights: Rights,
    ) -> Result<Subscription, TooManyWatchers> {
        let mut state = self.write();
        let snapshot = state.snapshot();
        state.watchers.add(snapshot, updates, rights)
    }

    /// What an id counts for in the mark of what somebody sees.
    pub(crate) fn mark(&self, id: &ClientId) -> u64 {
        self.marks.hash_one(id)
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
        let entries = self.ids.values();
        let mut edges: Vec<_> = entries.map(|entry| Arc::clone(&entry.sessions)).collect();
        edges.sort_by(|a, b| a.client_id().cmp(b.client_id()));
        Snapshot {
            edges,
            revision: self.revision,
        }
    }

    fn register(
        &mut self,
        newcomer: &Newcomer<'_>,
        identity: Option<(&Identity, Token)>,
        edge: impl FnOnce(Generation) -> EdgeHandle,
    ) -> Result<(Arc<EdgeHandle>, oneshot::Receiver<Ousted>), Conflict> {
        let id = newcomer.id;
        if let Some(ban) = self.bans.of(id) {
            return Err(Conflict::Banned(ban.clone()));
        }
        // An epoch ends when its last tunnel does, and not when that is found to be gone.
        self.remove(id, None, |edge| edge.session().is_closed());
        let before = self.ids.get(id).map(|entry| Arc::clone(&entry.sessions));
        let entry = self.ids.entry(id.clone());
        let next = self.last_generation + 1;
        let entry = entry.or_insert_with(|| Entry::new(id.clone(), next));
        let place = entry.place(newcomer)?;
        self.last_generation = next;
        let edge = Arc::new(edge(self.last_generation));
        let ousted = entry.take(place, Arc::clone(&edge), identity);
        let sessions = Arc::clone(&entry.sessions);
        let tunnels = self.tunnels.entry(id.clone()).or_default();
        tunnels.push(Arc::clone(&edge));
        match before {
            None => self.begin_epoch(&edge, sessions),
            // Those there were may owe a sign of life.
            Some(before) => self.update(id, before.labels(), sessions),
        }
        Ok((edge, ousted))
    }

    /// Removes those tunnels of `id` for which `gone` holds. Those who watch are told the reason, where there is one.
    fn remove(
        &mut self,
        id: &ClientId,
        reason: Option<&Arc<str>>,
        gone: impl Fn(&EdgeHandle) -> bool,
    ) {
        let Some(entry) = self.ids.get_mut(id) else {
            return;
        };
        let before = Arc::clone(&entry.sessions);
        if !entry.remove(gone) {
            return;
        }
        if entry.is_empty() {
            self.end_epoch(id, before.labels(), reason);
        } else {
            let sessions = Arc::clone(&entry.sessions);
            self.update(id, before.labels(), sessions);
        }
    }

    /// A tunnel has ended.
    fn forget(&mut self, id: &ClientId, generation: Generation) {
        let Some(tunnels) = self.tunnels.get_mut(id) else {
            return;
        };
        tunnels.retain(|edge| edge.generation() != generation);
        if tunnels.is_empty() {
            self.tunnels.remove(id);
        }
    }

    /// The first tunnel of `id` is up.
    fn begin_epoch(&mut self, edge: &EdgeHandle, sessions: Arc<Sessions>) {
        let id = edge.client_id();
        let before = self.waiting.labels(id);
        // Who waits for one of which nothing was known was let through unlooked.
        if before.as_ref() != Some(sessions.labels()) {
            self.relabelled.tell(id);
        }
        self.outbox.connected(edge);
        self.announce(id, &before.unwrap_or_default(), Event::Connected(sessions));
        // Who is told of both hears of the labels first.
        self.waiting.arrived(id);
    }

    /// Its tunnels are others now.
    fn update(&mut self, id: &ClientId, before: &Labels, sessions: Arc<Sessions>) {
        if before != sessions.labels() {
            self.relabelled.tell(id);
        }
        self.announce(id, before, Event::Updated(sessions));
        self.waiting.changed(id);
    }

    /// The last tunnel of `id` is gone.
    fn end_epoch(&mut self, id: &ClientId, labels: &Labels, reason: Option<&Arc<str>>) {
        if let Some(Entry { epoch, .. }) = self.ids.remove(id) {
            self.outbox.disconnected(id, epoch, reason);
        }
        self.announce(id, labels, Event::Disconnected(reason.cloned()));
        self.waiting.left(id, labels);
    }

    fn announce(&mut self, id: &ClientId, before: &Labels, event: Event) {
        self.revision += 1;
        let change = Change {
            client_id: id.clone(),
            event,
            revision: self.revision,
        };
        self.watchers.tell(&change, before);
    }
}

/// Keeps an edge reachable. To be dropped when its tunnel has ended.
#[derive(Debug)]
pub(crate) struct Registration {
    registry: Arc<Registry>,
    id: ClientId,
    generation: Generation,
    ousted: oneshot::Receiver<Ousted>,
}

impl Registration {
    /// Waits until another tunnel takes the place of this one.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe, until it has returned: there is no second time.
    pub(crate) async fn ousted(&mut self) -> Ousted {
        match (&mut self.ousted).await {
            Ok(ousted) => ousted,
            // Its tunnel ended, and that was noticed elsewhere first.
            Err(_) => pending().await,
        }
    }

    /// The edge is not reachable any more, though its tunnel lives on.
    pub(crate) fn leave(&self) {
        self.leave_in(&mut self.registry.write());
    }

    fn leave_in(&self, state: &mut State) {
        let ours = |edge: &EdgeHandle| edge.generation() == self.generation;
        state.remove(&self.id, None, ours);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut state = self.registry.write();
        self.leave_in(&mut state);
        state.forget(&self.id, self.generation);
    }
}

#[cfg(test)]
mod tests;
