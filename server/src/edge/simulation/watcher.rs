//! One who watches a server from its start, and holds it to what it promises.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::FutureExt as _;
use grpc_multiplexer_tunnel::ClientId;
use tokio::time::Instant;

use super::super::EdgeHandle;
use super::server::Server;
use super::trace::Trace;
use crate::DuplicateClientId;
use crate::policy::Rights;
use crate::registry::{Event, Generation, Registry, Sessions, Subscription};

/// What an edge that is well may take for a sign of life: the server waits for so long, and for a look.
const ASKED: Duration = Duration::from_millis(2_100);

/// The tunnels of an id, with the address of their edge.
type Listed = BTreeMap<Generation, IpAddr>;

pub(super) struct Watcher {
    extended: Subscription,
    plain: Subscription,
    listed: BTreeMap<ClientId, Listed>,
    connected: BTreeSet<ClientId>,
    /// The newest that was ever listed.
    newest: BTreeMap<ClientId, Generation>,
}

/// Since when nothing came between the server and an edge's process; `None` while something does.
pub(super) type Well = BTreeMap<SocketAddr, Option<Instant>>;

impl Watcher {
    pub(super) fn begin(registry: &Registry) -> Self {
        Self {
            extended: registry.watch(true, Rights::default()).unwrap(),
            plain: registry.watch(false, Rights::default()).unwrap(),
            listed: BTreeMap::new(),
            connected: BTreeSet::new(),
            newest: BTreeMap::new(),
        }
    }

    /// Tunnels that are listed for `id`.
    pub(super) fn listed(&self, id: &ClientId) -> usize {
        self.listed.get(id).map_or(0, BTreeMap::len)
    }

    /// Sees that nothing is as it must not be.
    pub(super) fn check(
        &mut self,
        server: &Server,
        duplicates: DuplicateClientId,
        well: &Well,
        trace: &mut Trace,
    ) {
        self.in_turn();
        while let Ok(change) = self.extended.changes.try_recv() {
            let listed = match &change.event {
                Event::Connected(sessions) | Event::Updated(sessions) => listed(sessions),
                Event::Disconnected(_) => Listed::new(),
            };
            trace.note(|| format!("{} {:?}", change.client_id, listed.keys()));
            let before = self.listed.remove(&change.client_id).unwrap_or_default();
            if duplicates == DuplicateClientId::Reject {
                only_its_own_edge_takes_a_place(&before, &listed, well);
            }
            if !listed.is_empty() {
                let newest = *listed.keys().next_back().unwrap();
                let known = self.newest.entry(change.client_id.clone()).or_default();
                *known = newest.max(*known);
                self.listed.insert(change.client_id, listed);
            }
        }
        self.exactly_what_is_up(server);
    }

    /// CONNECTED and DISCONNECTED, strictly in turn.
    fn in_turn(&mut self) {
        while let Ok(change) = self.plain.changes.try_recv() {
            let id = change.client_id;
            match change.event {
                Event::Connected(_) => assert!(self.connected.insert(id), "connected twice"),
                Event::Disconnected(_) => assert!(self.connected.remove(&id), "disconnected twice"),
                Event::Updated(_) => panic!("a plain watcher knows no update"),
            }
        }
    }

    /// An edge is listed exactly while a tunnel of it is up and not draining.
    fn exactly_what_is_up(&self, server: &Server) {
        let snapshot = server.registry().snapshot();
        let edges = snapshot.edges.iter();
        let now: BTreeMap<_, _> = edges
            .map(|sessions| (sessions.client_id().clone(), listed(sessions)))
            .collect();
        assert_eq!(now, self.listed, "what a watcher was told is what there is");
        assert!(self.connected.iter().eq(self.listed.keys()));
        for edge in snapshot.edges.iter().flat_map(|sessions| sessions.iter()) {
            assert!(is_up(edge), "{} is listed, and gone", edge.generation());
        }
        let mut taken = server.taken.lock().unwrap();
        taken.retain(|edge| !edge.session().is_closed());
        for edge in taken.iter().filter(|edge| is_up(edge)) {
            let id = edge.client_id();
            let is_listed = self
                .listed
                .get(id)
                .is_some_and(|listed| listed.contains_key(&edge.generation()));
            let has_successor = self.newest[id] > edge.generation();
            assert!(
                is_listed || has_successor,
                "{} of {id} is up, and not listed",
                edge.generation()
            );
        }
    }
}

fn listed(sessions: &Sessions) -> Listed {
    let edges = sessions.iter();
    edges
        .map(|edge| (edge.generation(), edge.remote().ip()))
        .collect()
}

fn is_up(edge: &EdgeHandle) -> bool {
    !edge.session().is_closed() && edge.session().peer_drains().now_or_never().is_none()
}

/// A place passes to another process only when the one that has it gives no sign of life.
fn only_its_own_edge_takes_a_place(before: &Listed, now: &Listed, well: &Well) {
    let comes = now
        .values()
        .find(|edge| !before.values().any(|of| of == *edge));
    let (Some(comes), false) = (comes, before.is_empty()) else {
        return;
    };
    for (remote, since) in well {
        if before.values().any(|edge| *edge == remote.ip()) {
            let long_well = since.is_some_and(|since| since.elapsed() > ASKED * 2);
            assert!(
                !long_well,
                "{comes} took the place of {remote}, which is well"
            );
        }
    }
}
