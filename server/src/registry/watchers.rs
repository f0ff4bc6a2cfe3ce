//! Who is told of changes: in order, without waiting for anybody, and never more than a bounded number behind.

use std::sync::Arc;

use grpc_multiplexer_tunnel::{ClientId, Labels};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Sessions, Snapshot};
use crate::policy::Rights;

/// Changes that a watcher may be behind before it is cut.
const QUEUE: usize = 1024;
/// Watchers at a time.
const MOST: usize = 1000;

/// What happened to an id.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// Its first tunnel came up.
    Connected(Arc<Sessions>),
    /// Its tunnels are others now, and there was one all the time.
    Updated(Arc<Sessions>),
    /// Its last tunnel is gone, or takes no calls any more; and why, where an operator brought that about.
    Disconnected(Option<Arc<str>>),
}

/// What watchers are told.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) client_id: ClientId,
    pub(crate) event: Event,
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

/// As many watchers as are served are there already.
#[derive(Debug)]
pub(crate) struct TooManyWatchers;

/// One who watches: where changes go, and what cuts it.
#[derive(Debug)]
struct Watcher {
    changes: mpsc::Sender<Change>,
    /// Whether it knows of updates.
    updates: bool,
    /// What it may see. What it may not does not count against it, either.
    rights: Rights,
    cut: CancellationToken,
}

impl Watcher {
    /// Tells it, or cuts it if it is too far behind. False when it is no watcher any more.
    fn tell(&self, change: &Change, was: &Labels) -> bool {
        let Some(event) = self.event(change, was) else {
            return true;
        };
        let told = self.changes.try_send(Change {
            event,
            ..change.clone()
        });
        if let Err(mpsc::error::TrySendError::Full(_)) = told {
            self.cut.cancel();
        }
        told.is_ok()
    }

    /// What a change is to this watcher. An edge that has other labels now may come into its sight, or go.
    fn event(&self, change: &Change, was: &Labels) -> Option<Event> {
        let sees = |labels: &Labels| self.rights.see(&change.client_id, labels);
        let as_it_is = || change.event.clone();
        match &change.event {
            Event::Connected(now) => sees(now.labels()).then(as_it_is),
            Event::Disconnected(_) => sees(was).then(as_it_is),
            Event::Updated(now) => match (sees(was), sees(now.labels())) {
                (true, true) => self.updates.then(as_it_is),
                (false, true) => Some(Event::Connected(Arc::clone(now))),
                (true, false) => Some(Event::Disconnected(None)),
                (false, false) => None,
            },
        }
    }
}

/// All of them.
#[derive(Debug)]
pub(super) struct Watchers {
    watchers: Vec<Watcher>,
    /// Changes that each may be behind.
    queue: usize,
}

impl Default for Watchers {
    fn default() -> Self {
        Self::with_queue(QUEUE)
    }
}

impl Watchers {
    pub(super) fn with_queue(queue: usize) -> Self {
        Self {
            watchers: Vec::new(),
            queue,
        }
    }

    /// One more, who knows what it may see of what `snapshot` shows.
    pub(super) fn add(
        &mut self,
        snapshot: Snapshot,
        updates: bool,
        rights: Rights,
    ) -> Result<Subscription, TooManyWatchers> {
        self.watchers.retain(|watcher| !watcher.changes.is_closed());
        if self.watchers.len() >= MOST {
            return Err(TooManyWatchers);
        }
        let snapshot = snapshot.seen_by(&rights);
        let (sender, changes) = mpsc::channel(self.queue);
        let cut = CancellationToken::new();
        self.watchers.push(Watcher {
            changes: sender,
            updates,
            rights,
            cut: cut.clone(),
        });
        Ok(Subscription {
            snapshot,
            changes,
            cut,
        })
    }

    /// Tells every watcher of a change at an edge that had the labels `was`. One that is full is cut, one that is gone is freed.
    pub(super) fn tell(&mut self, change: &Change, was: &Labels) {
        self.watchers.retain(|watcher| watcher.tell(change, was));
    }
}
