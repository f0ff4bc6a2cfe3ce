//! How what one caller may see is shown to it.

use std::sync::Arc;
use std::time::SystemTime;

use grpc_multiplexer_proto::v1::Edge;

use crate::edge::EdgeHandle;
use crate::policy::Rights;
use crate::registry::{Change, Event, Registry, Sessions, Snapshot};

/// What numbers a caller is shown.
///
/// Those of the registry grow with every edge, so they would tell of edges that the caller may not see. Where a policy says
/// what it may, it gets others in their place, which come from what it sees alone.
#[derive(Debug)]
pub(super) struct View {
    registry: Arc<Registry>,
    /// The marks of the ids that are seen, taken together; `None` for who may see all of them without a policy.
    seen: Option<u64>,
}

impl View {
    /// That of whoever has these rights, and begins with `snapshot`, which is theirs already.
    pub(super) fn of(registry: &Arc<Registry>, rights: &Rights, snapshot: &Snapshot) -> Self {
        let marks = snapshot
            .edges
            .iter()
            .map(|edge| registry.mark(edge.client_id()));
        Self {
            registry: Arc::clone(registry),
            seen: rights
                .are_bound()
                .then(|| marks.fold(0, |all, mark| all ^ mark)),
        }
    }

    /// Something that is seen changes.
    pub(super) fn changes(&mut self, change: &Change) {
        if let (Some(seen), Event::Connected(_) | Event::Disconnected(_)) =
            (&mut self.seen, &change.event)
        {
            *seen ^= self.registry.mark(&change.client_id);
        }
    }

    /// The mark of what is seen now, which is as `revision` has it.
    pub(super) fn mark(&self, revision: u64) -> String {
        self.registry.show_revision(self.seen.unwrap_or(revision))
    }

    /// What is shown of an id: its newest tunnel, the calls on all of them, and the labels that all have.
    pub(super) fn describe(&self, sessions: &Sessions) -> Option<Edge> {
        let edge = sessions.newest()?;
        Some(Edge {
            client_id: edge.client_id().to_string(),
            version: edge.software().to_owned(),
            connected_since: Some(edge.since().into()),
            generation: self.generation(edge),
            remote_address: edge.remote().to_string(),
            heartbeat_rtt: edge.rtt().and_then(|rtt| rtt.try_into().ok()),
            calls_in_flight: u32::try_from(sessions.calls()).unwrap_or(u32::MAX),
            labels: sessions.labels().to_map(),
            context: edge.context().shown(),
        })
    }

    /// A number that grows with every tunnel of the edge.
    fn generation(&self, edge: &EdgeHandle) -> u64 {
        if self.seen.is_none() {
            return edge.generation();
        }
        let since = edge.since().duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| {
            u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
        })
    }
}
