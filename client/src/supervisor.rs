//! A running edge: its slots side by side, until it is told to stop.

mod identity;
mod slot;
mod tunnel;

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::Edge;
use crate::reachability::Reachability;
use identity::Identity;
use slot::Slot;

/// Why an edge does not run any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EdgeEnd {
    /// It was asked to stop.
    Stopped,
    /// Another edge took its name, and it was to end then.
    Superseded,
}

impl Edge {
    /// Keeps its tunnels until `stop` is cancelled; then takes nothing new, lets calls in flight finish within the drain
    /// timeout, and returns. It also ends so when it is [superseded](Self::with_exit_on_superseded) and was told to.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cuts the tunnels and every call on them.
    pub async fn run(self, stop: CancellationToken) -> EdgeEnd {
        let fleet = Arc::new(Fleet {
            edge: self,
            identity: Identity::new(),
            reachable: Arc::default(),
            stop: stop.child_token(),
            superseded: AtomicBool::new(false),
        });
        let mut probe = JoinSet::new();
        probe.spawn(Arc::clone(&fleet).probe());
        let mut slots = JoinSet::new();
        for number in 0..fleet.edge.tunnels {
            let slot = Slot::new(Arc::clone(&fleet), number);
            slots.spawn(slot.run().in_current_span());
        }
        while let Some(ended) = slots.join_next().await {
            if let Some(panic) = ended.err().filter(tokio::task::JoinError::is_panic) {
                resume_unwind(panic.into_panic());
            }
        }
        if fleet.superseded.load(Ordering::Relaxed) {
            EdgeEnd::Superseded
        } else {
            EdgeEnd::Stopped
        }
    }
}

/// What the slots of a running edge share.
#[derive(Debug)]
struct Fleet {
    edge: Edge,
    identity: Identity,
    reachable: Arc<Reachability>,
    /// Cancelled when the edge is to stop.
    stop: CancellationToken,
    superseded: AtomicBool,
}

impl Fleet {
    /// Sees whether the backend is there, for the log.
    async fn probe(self: Arc<Self>) {
        let (backend, limit) = (&self.edge.backend, self.edge.tunnel.dial_timeout);
        self.reachable.dialled(backend, &backend.reach(limit).await);
    }

    /// The edge ends, because another took its name.
    fn give_up(&self) {
        self.superseded.store(true, Ordering::Relaxed);
        self.stop.cancel();
    }
}
