//! All that is known of one client id while it has a tunnel, and who gets it.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use grpc_multiplexer_tunnel::ClientId;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::identity::{Identity, Proof, Token};
use super::probe::Probe;
use super::takeovers::Takeovers;
use super::{Conflict, Generation, Newcomer, Sessions};
use crate::DuplicateClientId;
use crate::edge::EdgeHandle;

/// Why a tunnel lost its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// The same edge has a new one.
    Superseded,
    /// Another edge wants the id, and this one gave no sign of life.
    Silent,
    /// Another edge wants the id, and may have it.
    Replaced,
}

/// What a tunnel that lost its place is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ousted {
    pub(crate) why: Why,
    pub(crate) successor: Generation,
}

/// One tunnel that serves the id.
#[derive(Debug)]
struct Member {
    edge: Arc<EdgeHandle>,
    /// The generation of the first tunnel of the same edge.
    holder: Generation,
    slot: u32,
    ousted: oneshot::Sender<Ousted>,
}

/// A newcomer's place among those that have the id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Beside them, as an edge of its own.
    Beside,
    /// With the tunnels of the edge whose first had that generation, and in place of the one in its slot.
    With(Generation),
    /// In place of all.
    Alone(Why),
}

#[derive(Debug)]
pub(super) struct Entry {
    /// The generation of the first tunnel.
    pub(super) epoch: Generation,
    /// Oldest first.
    members: Vec<Member>,
    pub(super) sessions: Arc<Sessions>,
    /// One for each slot that an edge had since its first tunnel.
    proofs: Vec<Proof>,
    takeovers: Takeovers,
    pub(super) probe: Probe,
}

impl Entry {
    pub(super) fn new(client_id: ClientId, epoch: Generation) -> Self {
        Self {
            epoch,
            members: Vec::new(),
            sessions: Arc::new(Sessions::new(client_id, std::iter::empty())),
            proofs: Vec::new(),
            takeovers: Takeovers::default(),
            probe: Probe::default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Where `newcomer` belongs.
    pub(super) fn place(&mut self, newcomer: &Newcomer<'_>) -> Result<Place, Conflict> {
        if self.is_empty() {
            return Ok(Place::Beside);
        }
        if let Some(holder) = newcomer.identity.and_then(|identity| self.holder(identity)) {
            return Ok(Place::With(holder));
        }
        match newcomer.duplicates {
            DuplicateClientId::Balance => Ok(Place::Beside),
            DuplicateClientId::Replace => self.take_over(),
            DuplicateClientId::Reject => {
                let silent = |member: &Member| newcomer.silent.contains(&member.edge.generation());
                let all = self.members.iter().all(silent);
                all.then_some(Place::Alone(Why::Silent))
                    .ok_or(Conflict::Taken)
            }
        }
    }

    /// The edge that `identity` proves to be.
    fn holder(&self, identity: &Identity) -> Option<Generation> {
        let proof = self.proofs.iter().find(|proof| proof.admits(identity))?;
        Some(proof.holder)
    }

    fn take_over(&mut self) -> Result<Place, Conflict> {
        let held = match self.takeovers.count(Instant::now()) {
            Ok(()) => return Ok(Place::Alone(Why::Replaced)),
            Err(held) => held,
        };
        let incumbent = self.sessions.newest().filter(|_| held.begins);
        Err(Conflict::Held {
            left: held.left,
            incumbent: incumbent.map(|edge| edge.remote()),
        })
    }

    /// Gives `edge` its place. What comes back is told when another takes it.
    pub(super) fn take(
        &mut self,
        place: Place,
        edge: Arc<EdgeHandle>,
        identity: Option<(&Identity, Token)>,
    ) -> oneshot::Receiver<Ousted> {
        let generation = edge.generation();
        let slot = identity.as_ref().map_or(0, |(identity, _)| identity.slot());
        self.oust(place, slot, generation);
        let holder = match place {
            Place::With(holder) => holder,
            Place::Beside | Place::Alone(_) => generation,
        };
        if let Some((identity, token)) = identity {
            let proof = Proof::new(holder, identity, token, edge.session().clone());
            self.proofs.retain(|older| !older.is_of(&proof));
            // Mostly the only one.
            self.proofs.reserve_exact(1);
            self.proofs.push(proof);
        }
        let (ousted, told) = oneshot::channel();
        self.members.reserve_exact(1);
        self.members.push(Member {
            edge,
            holder,
            slot,
            ousted,
        });
        self.changed();
        told
    }

    /// Tells those whose place it is now.
    fn oust(&mut self, place: Place, slot: u32, successor: Generation) {
        let why = |member: &Member| match place {
            Place::Beside => None,
            Place::With(holder) => {
                (member.holder == holder && member.slot == slot).then_some(Why::Superseded)
            }
            Place::Alone(why) => Some(why),
        };
        for member in std::mem::take(&mut self.members) {
            match why(&member) {
                // Who ends just now needs no telling.
                Some(why) => drop(member.ousted.send(Ousted { why, successor })),
                None => self.members.push(member),
            }
        }
    }

    /// Removes those tunnels for which `gone` holds. True if there was one.
    pub(super) fn remove(&mut self, gone: impl Fn(&EdgeHandle) -> bool) -> bool {
        let before = self.members.len();
        self.members.retain(|member| !gone(&member.edge));
        let removed = self.members.len() < before;
        if removed {
            self.changed();
        }
        removed
    }

    fn changed(&mut self) {
        let holders: HashSet<_> = self.members.iter().map(|member| member.holder).collect();
        self.proofs.retain(|proof| holders.contains(&proof.holder));
        let edges = self.members.iter().map(|member| Arc::clone(&member.edge));
        self.sessions = Arc::new(Sessions::new(self.sessions.client_id().clone(), edges));
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Superseded => "another tunnel of the same edge took the place of this one",
            Self::Silent => "another edge took the client id: this one gave no sign of life",
            Self::Replaced => "another edge took the client id; each edge needs a name of its own",
        })
    }
}

impl Why {
    /// How long the calls of a tunnel that lost its place may go on.
    pub(crate) fn calls_may_take(self) -> Duration {
        match self {
            Self::Superseded | Self::Replaced => Duration::from_secs(30),
            Self::Silent => Duration::ZERO,
        }
    }
}
