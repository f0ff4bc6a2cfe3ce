//! What the registry is to do, said as simply as it can be: every id is a list of tunnels.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::{ClientId, DuplicateClientId, Generation, IDS, id};

/// Silence after which an edge of the original's counts as one that gave no sign of life when it was asked for one.
const DOUBTED: Duration = Duration::from_secs(32);
/// Silence that ends its tunnel.
const DEAD: Duration = Duration::from_secs(45);
const MINUTE: Duration = Duration::from_secs(60);

/// One tunnel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) generation: Generation,
    pub(super) holder: Generation,
    pub(super) slot: u32,
    pub(super) heard: Instant,
    pub(super) ended: bool,
}

impl Known {
    /// Whether it takes calls.
    pub(super) fn is_up(&self) -> bool {
        !self.ended && self.heard.elapsed() < DEAD
    }

    fn gives_a_sign_of_life(&self) -> bool {
        self.is_up() && self.heard.elapsed() <= DOUBTED
    }
}

/// Who comes.
#[derive(Debug, Clone)]
pub(super) struct Comer {
    pub(super) instance: u8,
    pub(super) slot: u32,
    pub(super) token: Vec<u8>,
    pub(super) duplicates: DuplicateClientId,
    /// Who is said to have given no sign of life, before anybody was asked.
    pub(super) silent: Vec<Generation>,
}

/// A token that is good for an id.
#[derive(Debug)]
struct Valid {
    holder: Generation,
    instance: u8,
    slot: u32,
    token: Vec<u8>,
}

/// One id.
#[derive(Debug, Default)]
pub(super) struct KnownId {
    /// Listed, oldest first. Those that ended are, until somebody notices.
    pub(super) tunnels: Vec<Known>,
    valid: Vec<Valid>,
    /// Every token that was ever given for it.
    pub(super) given: Vec<Vec<u8>>,
    takeovers: Vec<Instant>,
    held_until: Option<Instant>,
}

/// What becomes of a newcomer: whose it is, if it proved that, and who stays beside it.
pub(super) struct Taken {
    holder: Option<Generation>,
    stay: Vec<Known>,
}

impl KnownId {
    pub(super) fn generations(&self) -> Vec<Generation> {
        self.tunnels.iter().map(|known| known.generation).collect()
    }

    /// That registration is given back.
    pub(super) fn leave(&mut self, generation: Generation) {
        self.keep(|known| known.generation != generation);
    }

    /// None of them is left.
    pub(super) fn kicked(&mut self) {
        self.keep(|_| false);
    }

    /// Whether `comer` gets the id.
    pub(super) fn judge(&mut self, comer: &Comer) -> Option<Taken> {
        self.keep(Known::is_up);
        if let Some(holder) = self.proven(comer) {
            let stays = |known: &&Known| (known.holder, known.slot) != (holder, comer.slot);
            return Some(Taken {
                holder: Some(holder),
                stay: self.tunnels.iter().filter(stays).copied().collect(),
            });
        }
        let stay = match comer.duplicates {
            _ if self.tunnels.is_empty() => Some(vec![]),
            DuplicateClientId::Balance => Some(self.tunnels.clone()),
            DuplicateClientId::Replace => self.takeover_is_allowed().then(Vec::new),
            DuplicateClientId::Reject => {
                let named = |known: &Known| comer.silent.contains(&known.generation);
                let all_named = self.tunnels.iter().all(named);
                // Else they are asked.
                let lives = self.tunnels.iter().any(Known::gives_a_sign_of_life);
                (all_named || !lives).then(Vec::new)
            }
        };
        stay.map(|stay| Taken { holder: None, stay })
    }

    /// It got the id as `generation`, and `token` for the next time.
    pub(super) fn take(
        &mut self,
        taken: Taken,
        comer: &Comer,
        generation: Generation,
        token: Vec<u8>,
    ) {
        let holder = taken.holder.unwrap_or(generation);
        self.tunnels = taken.stay;
        self.tunnels.push(Known {
            generation,
            holder,
            slot: comer.slot,
            heard: Instant::now(),
            ended: false,
        });
        let valid = |token: &Vec<u8>| Valid {
            holder,
            instance: comer.instance,
            slot: comer.slot,
            token: token.clone(),
        };
        self.valid
            .retain(|of| (of.holder, of.slot) != (holder, comer.slot));
        self.valid.push(valid(&token));
        // What it showed stays good until it is known that its welcome arrived, which on this wire it never is.
        self.valid.push(valid(&comer.token));
        self.given.push(token);
        self.keep(|_| true);
    }

    fn keep(&mut self, stays: impl Fn(&Known) -> bool) {
        let Self { tunnels, valid, .. } = self;
        tunnels.retain(stays);
        valid.retain(|of| tunnels.iter().any(|known| known.holder == of.holder));
        if tunnels.is_empty() {
            self.takeovers.clear();
            self.held_until = None;
        }
    }

    /// The edge that `comer` proves to be: a token alone is not enough, nor is an instance.
    fn proven(&self, comer: &Comer) -> Option<Generation> {
        let admits = |of: &&Valid| {
            !comer.token.is_empty() && of.instance == comer.instance && of.token == comer.token
        };
        Some(self.valid.iter().find(admits)?.holder)
    }

    /// Six in a minute; a seventh begins a minute in which there is none.
    fn takeover_is_allowed(&mut self) -> bool {
        let now = Instant::now();
        if self.held_until.is_some_and(|until| now < until) {
            return false;
        }
        self.takeovers.retain(|then| now < *then + MINUTE);
        if self.takeovers.len() < 6 {
            self.takeovers.push(now);
            return true;
        }
        self.takeovers.clear();
        self.held_until = Some(now + MINUTE);
        false
    }
}

/// What is listed.
pub(super) fn listed(ids: &[KnownId]) -> BTreeMap<ClientId, Vec<Generation>> {
    let all = (0..IDS.len()).map(|n| (id(n), ids[n].generations()));
    all.filter(|(_, tunnels)| !tunnels.is_empty()).collect()
}
