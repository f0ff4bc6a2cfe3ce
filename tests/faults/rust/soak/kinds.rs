//! What a fault of the soak is.

use std::pin::Pin;

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use super::Stage;
use super::{callers, links, processes, wear};
use crate::world::{EDGES, Excuse, RELAYED, VICTIM};

/// Makes it happen, and heals it.
pub(super) type Play =
    for<'a> fn(&'a mut Stage) -> Pin<Box<dyn Future<Output = anyhow::Result<()>> + 'a>>;

/// Whom it happens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum On {
    /// An edge that is a process.
    Any,
    /// The edge with a network and a backend of its own.
    Apart,
    /// The edge behind a relay.
    Relayed,
    /// The server, and so everybody.
    Server,
}

/// One fault.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    pub(super) what: &'static str,
    pub(super) on: On,
    pub(super) excuse: Excuse,
    pub(super) play: Play,
    /// Whether there is another server process after it.
    pub(super) replaces: bool,
}

impl Kind {
    pub(super) const fn new(what: &'static str, on: On, excuse: Excuse, play: Play) -> Self {
        Self {
            what,
            on,
            excuse,
            play,
            replaces: false,
        }
    }

    pub(super) const fn replaces_the_server(self) -> Self {
        Self {
            replaces: true,
            ..self
        }
    }

    pub(super) fn victim(&self, chance: &mut StdRng) -> usize {
        match self.on {
            On::Any => chance.random_range(0..EDGES),
            On::Apart | On::Server => VICTIM,
            On::Relayed => RELAYED,
        }
    }
}

/// All kinds, shuffled: each comes once before any comes again.
pub(super) struct Deck {
    kinds: Vec<Kind>,
    left: Vec<Kind>,
}

impl Deck {
    pub(super) fn new() -> Self {
        let kinds = [
            processes::faults(),
            links::faults(),
            callers::faults(),
            wear::faults(),
        ]
        .concat();
        Self {
            kinds,
            left: Vec::new(),
        }
    }

    /// From now on the server stays.
    pub(super) fn keep_the_server(&mut self) {
        self.kinds.retain(|kind| !kind.replaces);
        self.left.clear();
    }

    pub(super) fn draw(&mut self, chance: &mut StdRng) -> Kind {
        if self.left.is_empty() {
            self.left.clone_from(&self.kinds);
            self.left.shuffle(chance);
        }
        self.left.pop().expect("there are kinds")
    }
}
