//! A running edge: its slots side by side, until it is told to stop.

mod identity;
mod slot;
mod tunnel;

use std::future::pending;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use grpc_multiplexer_process::HandoverError;
use grpc_multiplexer_tunnel::ClientId;
use tokio::sync::{SetOnce, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::credential::Credential;
use crate::reachability::Reachability;
use crate::{Edge, Upgrade};
pub(crate) use identity::Identity;
use slot::Slot;

/// How long a process that takes over waits for the last of its slots: their servers may be down.
const ALL_UP: Duration = Duration::from_secs(10);

/// Why an edge does not run any more.
#[derive(Debug)]
#[non_exhaustive]
pub enum EdgeEnd {
    /// It was asked to stop, or a new process took over.
    Stopped,
    /// Another edge took its name, and it was to end then.
    Superseded,
    /// The process before did not hand over.
    NotTakenOver(HandoverError),
}

impl Edge {
    /// Keeps its tunnels until `stop` is cancelled; then takes nothing new, lets calls in flight finish within the drain
    /// timeout, and returns. It also ends so when it is [superseded](Self::with_exit_on_superseded) and was told to.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cuts the tunnels and every call on them.
    pub async fn run(self, stop: CancellationToken) -> EdgeEnd {
        let identity = Identity::new();
        self.serve(identity, pending_upgrade, stop).await
    }

    /// The same in place of the process before, and until a process after this one takes over.
    ///
    /// # Cancel safety
    ///
    /// As [`run`](Self::run).
    pub async fn run_upgrading(mut self, upgrade: Upgrade, stop: CancellationToken) -> EdgeEnd {
        let identity = match upgrade.identity() {
            Some((client_id, identity)) => {
                if let Err(error) = self.has_its_key() {
                    return EdgeEnd::NotTakenOver(error);
                }
                if !self.is_named {
                    self.client_id = client_id;
                }
                identity
            }
            None => Identity::new(),
        };
        let upgrade = async |fleet: &Fleet| upgrade.run(fleet).await;
        self.serve(identity, upgrade, stop).await
    }

    /// Sees that no key is to be made in place of the one that the process before shows: that one would take the new one for its
    /// own, and its token is spent.
    fn has_its_key(&self) -> Result<(), HandoverError> {
        let credential = self.credential();
        let Some(file) = credential.as_ref().and_then(Credential::to_be_made) else {
            return Ok(());
        };
        Err(HandoverError::Lacking(format!(
            "there is no key in {}, and a process that takes over makes none: put the edge's key back, or stop the edge and \
             start it again to have a new one made",
            file.display()
        )))
    }

    /// Runs the slots to their end, which a hand-over brings too.
    async fn serve(
        self,
        identity: Identity,
        upgrade: impl AsyncFnOnce(&Fleet) -> Result<(), HandoverError>,
        stop: CancellationToken,
    ) -> EdgeEnd {
        let fleet = Arc::new(Fleet::new(self, identity, &stop));
        let mut probe = JoinSet::new();
        probe.spawn(Arc::clone(&fleet).probe());
        let mut slots = JoinSet::new();
        for number in 0..fleet.edge.tunnels {
            let slot = Slot::new(Arc::clone(&fleet), number);
            slots.spawn(slot.run().in_current_span());
        }
        let upgrade = fleet.stop.run_until_cancelled(upgrade(&fleet)).await;
        if upgrade.is_some() {
            fleet.edge.metrics.left();
        }
        fleet.stop.cancel();
        while let Some(ended) = slots.join_next().await {
            if let Some(panic) = ended.err().filter(tokio::task::JoinError::is_panic) {
                resume_unwind(panic.into_panic());
            }
        }
        match upgrade {
            Some(Err(error)) => EdgeEnd::NotTakenOver(error),
            _ if fleet.superseded.load(Ordering::Relaxed) => EdgeEnd::Superseded,
            _ => EdgeEnd::Stopped,
        }
    }
}

/// What the slots of a running edge share.
#[derive(Debug)]
pub(crate) struct Fleet {
    edge: Edge,
    identity: Identity,
    reachable: Arc<Reachability>,
    /// Cancelled when the edge is to stop.
    stop: CancellationToken,
    superseded: AtomicBool,
    /// Slots that had a tunnel.
    up: watch::Sender<u32>,
    /// A server took this edge for another than that of its name.
    duplicate: SetOnce<()>,
    /// Whether no server is to be dialled.
    held: watch::Sender<bool>,
}

impl Fleet {
    fn new(edge: Edge, identity: Identity, stop: &CancellationToken) -> Self {
        Self {
            edge,
            identity,
            reachable: Arc::default(),
            stop: stop.child_token(),
            superseded: AtomicBool::new(false),
            up: watch::Sender::default(),
            duplicate: SetOnce::new(),
            held: watch::Sender::default(),
        }
    }

    pub(crate) fn client_id(&self) -> &ClientId {
        &self.edge.client_id
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether to leave servers alone from now on. Tunnels that are up stay.
    pub(crate) fn hold(&self, hold: bool) {
        self.held.send_replace(hold);
    }

    /// Waits until every slot has had a tunnel; after a while one is enough. And with a server that does not know that
    /// this edge is that of the process before, for its sake: it must end first.
    pub(crate) async fn up(&self) {
        let slots = async |least: u32| {
            // It lives as long as this.
            let _ = self.up.subscribe().wait_for(|up| *up >= least).await;
        };
        if timeout(ALL_UP, slots(self.edge.tunnels)).await.is_ok() {
            return;
        }
        tokio::select! {
            biased;
            () = slots(1) => {}
            _ = self.duplicate.wait() => {}
        }
    }

    /// Waits until servers are to be left alone, or may be dialled again.
    async fn until_held(&self, held: bool) {
        // It lives as long as this.
        let _ = self.held.subscribe().wait_for(|now| *now == held).await;
    }

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

/// There is no process before, and none after.
async fn pending_upgrade(_: &Fleet) -> Result<(), HandoverError> {
    pending().await
}
