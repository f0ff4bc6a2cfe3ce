//! The tunnels that serve one client id at one moment.

use std::sync::Arc;

use grpc_multiplexer_tunnel::{ClientId, Labels, Session};
use rand::Rng as _;

use crate::edge::EdgeHandle;

/// Oldest first. There are several where an edge has tunnels side by side, or where several edges share an id.
#[derive(Debug)]
pub(crate) struct Sessions {
    client_id: ClientId,
    edges: Vec<Arc<EdgeHandle>>,
    labels: Labels,
}

impl Sessions {
    pub(super) fn new(client_id: ClientId, edges: impl Iterator<Item = Arc<EdgeHandle>>) -> Self {
        let edges: Vec<_> = edges.collect();
        let labels = edges.iter().map(|edge| edge.labels().clone());
        let labels = labels.reduce(|all, labels| all.in_common(&labels));
        Self {
            client_id,
            edges,
            labels: labels.unwrap_or_default(),
        }
    }

    pub(crate) fn client_id(&self) -> &ClientId {
        &self.client_id
    }

    /// What all of them say. Whoever may call an edge because of a label may call any tunnel of it.
    pub(crate) fn labels(&self) -> &Labels {
        &self.labels
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<EdgeHandle>> {
        self.edges.iter()
    }

    /// The one that stands for all where one is to be shown.
    pub(crate) fn newest(&self) -> Option<&Arc<EdgeHandle>> {
        self.edges.last()
    }

    /// Calls on all of them.
    pub(crate) fn calls(&self) -> usize {
        self.iter().map(|edge| edge.calls()).sum()
    }

    /// One for a new call: in rotation where one is, and otherwise any that is not closed.
    pub(crate) fn pick(&self) -> Option<&Arc<EdgeHandle>> {
        self.less_loaded(Session::in_rotation)
            .or_else(|| self.less_loaded(|session| !session.is_closed()))
    }

    /// The less loaded of two random ones among those that fit. Nearly as even as the least loaded of all, without
    /// sending everybody to the same one at the same moment.
    fn less_loaded(&self, fits: impl Fn(&Session) -> bool) -> Option<&Arc<EdgeHandle>> {
        let fitting = || self.iter().filter(|edge| fits(edge.session()));
        let count = fitting().count();
        if count < 2 {
            return fitting().next();
        }
        let mut rng = rand::rng();
        let first = rng.random_range(0..count);
        let second = (first + rng.random_range(1..count)) % count;
        // One may have fallen out meanwhile.
        [first, second]
            .into_iter()
            .filter_map(|n| fitting().nth(n))
            .min_by_key(|edge| edge.calls())
            .or_else(|| fitting().next())
    }
}
