//! One edge: its tunnel, what it offers, and the lanes to its backend.

mod admit;
pub(crate) mod age;
mod authorize;
mod budget;
pub(crate) mod comers;
mod enrol;
mod gate;
pub(crate) mod lane;
pub(crate) mod lanes;
pub(crate) mod listener;
pub(crate) mod offer;
pub(crate) mod places;
mod queue;
mod resets;
mod sniff;
mod tolerance;
mod tunnel;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, SystemTime};

use grpc_multiplexer_tunnel::{ClientId, Labels, Session};
use http::uri::{Authority, Scheme};
use tokio::runtime::Handle;

use crate::credential::Serves;
use crate::hooks::Context;
use crate::registry::Generation;
use lanes::{Lanes, Terms};

/// A connected edge, as calls and discovery see it.
#[derive(Debug)]
pub(crate) struct EdgeHandle {
    client_id: ClientId,
    generation: Generation,
    session: Session,
    /// Made when they are needed: of ten thousand edges most may never be called.
    lanes: OnceLock<Arc<Lanes>>,
    terms: Arc<Terms>,
    endpoint_id: u32,
    /// Where the tunnel is served.
    home: Handle,
    scheme: Scheme,
    authority: Authority,
    software: Box<str>,
    labels: Labels,
    context: Context,
    /// It may grow while the tunnel is up.
    serves: RwLock<Serves>,
    remote: SocketAddr,
    since: SystemTime,
}

impl EdgeHandle {
    pub(crate) fn client_id(&self) -> &ClientId {
        &self.client_id
    }

    pub(crate) fn generation(&self) -> Generation {
        self.generation
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Its lanes. Who closes them before the first call came closes them for good all the same.
    pub(crate) fn lanes(&self) -> &Arc<Lanes> {
        self.lanes.get_or_init(|| {
            let (session, home) = (self.session.clone(), self.home.clone());
            Lanes::new(session, self.endpoint_id, &self.terms, home)
        })
    }

    /// Calls that have a place on it now.
    pub(crate) fn calls(&self) -> usize {
        self.lanes.get().map_or(0, |lanes| lanes.calls())
    }

    /// Calls that wait for a place on it, or on a lane.
    pub(crate) fn queued(&self) -> usize {
        self.lanes.get().map_or(0, |lanes| lanes.queued())
    }

    /// What the backend sees as `:scheme`.
    pub(crate) fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// What the backend sees as `:authority`.
    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Name and version of the software at the edge, as it says.
    pub(crate) fn software(&self) -> &str {
        &self.software
    }

    /// What else the edge says of itself.
    pub(crate) fn labels(&self) -> &Labels {
        &self.labels
    }

    /// What the hook said of it.
    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// Whether calls to it may have that method.
    pub(crate) fn may_serve(&self, method: &str) -> bool {
        self.serves().has(method)
    }

    fn serves(&self) -> RwLockReadGuard<'_, Serves> {
        self.serves.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets it serve those from now on; whether that is all that it served until now. If not, nothing changes: calls that
    /// it may not serve any more are under way.
    fn serve_from_now(&self, serves: &Serves) -> bool {
        let mut now = self.serves.write().unwrap_or_else(PoisonError::into_inner);
        let covers = serves.cover(&now);
        if covers {
            *now = serves.clone();
        }
        covers
    }

    /// Where the tunnel was dialled from.
    pub(crate) fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// When the tunnel came up.
    pub(crate) fn since(&self) -> SystemTime {
        self.since
    }

    /// Smallest round trip of the last minute.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.session.rtt()
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
