//! One who watches, and puts together what the registry is from what it is told.

use std::collections::BTreeMap;

use tokio::sync::mpsc::error::TryRecvError;

use super::super::{Change, Event, Registry, Subscription};
use super::{ClientId, Generation, generations};
use crate::policy::Rights;

/// Changes that a watcher may be behind here.
pub(super) const QUEUE: usize = 8;

type Listed = BTreeMap<ClientId, Vec<Generation>>;

pub(super) struct Watch {
    subscription: Subscription,
    updates: bool,
    state: Listed,
    revision: u64,
    /// Changes that wait to be read.
    behind: usize,
    cut: bool,
}

impl Watch {
    pub(super) fn begin(registry: &Registry, updates: bool) -> Self {
        let subscription = registry.watch(updates, Rights::default()).unwrap();
        let snapshot = &subscription.snapshot;
        let edges = snapshot.edges.iter();
        Self {
            state: edges
                .map(|sessions| (sessions.client_id().clone(), generations(sessions)))
                .collect(),
            revision: snapshot.revision,
            subscription,
            updates,
            behind: 0,
            cut: false,
        }
    }

    /// So many updates and so many other changes were told to all.
    pub(super) fn told(&mut self, updates: usize, others: usize) {
        if !self.cut {
            self.behind += others + if self.updates { updates } else { 0 };
            self.cut = self.behind > QUEUE;
            self.behind = self.behind.min(QUEUE);
        }
        let cut = self.subscription.cut.is_cancelled();
        assert_eq!(cut, self.cut, "{} behind", self.behind);
    }

    /// Reads all that it was told, which is all that there was unless it was cut.
    pub(super) fn catch_up(&mut self) {
        let behind = std::mem::take(&mut self.behind);
        let (updates, others) = self.read();
        assert_eq!(updates + others, behind);
    }

    /// Reads what there is. Returns how many updates and how many other changes that was.
    pub(super) fn read(&mut self) -> (usize, usize) {
        let (mut updates, mut others) = (0, 0);
        let end = loop {
            let change = match self.subscription.changes.try_recv() {
                Ok(change) => change,
                Err(end) => break end,
            };
            match change.event {
                Event::Updated(_) => updates += 1,
                Event::Connected(_) | Event::Disconnected(_) => others += 1,
            }
            self.apply(change);
        };
        if self.cut {
            assert_eq!(end, TryRecvError::Disconnected, "no more comes");
        }
        (updates, others)
    }

    fn apply(&mut self, change: Change) {
        let Change {
            client_id,
            event,
            revision,
        } = change;
        if self.updates {
            assert_eq!(revision, self.revision + 1, "a gap, or a double");
        } else {
            assert!(revision > self.revision);
        }
        self.revision = revision;
        match event {
            Event::Connected(sessions) => {
                let before = self.state.insert(client_id, generations(&sessions));
                assert_eq!(before, None, "connected twice");
            }
            Event::Updated(sessions) => {
                assert!(self.updates, "a plain watcher knows no update");
                let before = self.state.insert(client_id, generations(&sessions));
                assert_ne!(before, None, "updated before it was connected");
            }
            Event::Disconnected(_) => {
                let before = self.state.remove(&client_id);
                assert_ne!(before, None, "disconnected twice");
            }
        }
    }

    /// Whoever read everything knows what is `listed`; a plain watcher at least which ids.
    pub(super) fn check(&self, listed: &Listed) {
        if self.cut || self.behind > 0 {
            return;
        }
        if self.updates {
            assert_eq!(&self.state, listed);
        } else {
            assert!(self.state.keys().eq(listed.keys()), "{:?}", self.state);
        }
    }
}
