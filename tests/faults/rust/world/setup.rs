//! What a case may set up.

use std::net::SocketAddr;

use grpc_multiplexer_tests::{Link as Relayed, Relay};

use super::EDGES;
use crate::net::{Namespace, Place};

const CALLERS: usize = 40;

/// How the victim dials the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// As all others.
    Plain,
    /// Through a relay that does this.
    Relayed(Relayed),
    /// By a name, of which the case says where it leads.
    Named,
    /// From a network of its own, together with its backend.
    Apart,
    /// The same, and the edge after it through a relay.
    Both,
}

impl Link {
    /// Where the victim runs.
    pub(super) async fn place(self) -> anyhow::Result<Place> {
        Ok(match self {
            Self::Apart | Self::Both => Place::Apart(Box::new(Namespace::new().await?)),
            Self::Plain | Self::Relayed(_) | Self::Named => Place::Here,
        })
    }

    /// The relay before `end`, where there is one.
    pub(super) async fn relay(self, end: SocketAddr) -> Option<Relay> {
        let does = match self {
            Self::Relayed(does) => does,
            Self::Both => Relayed::Open,
            Self::Plain | Self::Named | Self::Apart => return None,
        };
        let relay = Relay::to(end).await;
        relay.set(does);
        Some(relay)
    }
}

/// What differs from case to case.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) link: Link,
    /// Further options of the server; `FOLDER` in them is the case's own.
    pub(crate) server: &'static [&'static str],
    /// Further options of the victim.
    pub(crate) victim: &'static [&'static str],
    /// Whether server and victim run by a wall clock of the case's own.
    pub(crate) clock: bool,
    /// The mistake that the server was built with: a patch of that name in `hooks`.
    pub(crate) hook: Option<&'static str>,
    /// Whether calls are made all the time.
    pub(crate) load: bool,
    /// By so many.
    pub(crate) callers: usize,
    /// Further edges, all in one process. The last one's backend is its own.
    pub(crate) others: usize,
}

impl Setup {
    /// As it comes.
    pub(crate) const PLAIN: Self = Self {
        link: Link::Plain,
        server: &[],
        victim: &[],
        clock: false,
        hook: None,
        load: true,
        callers: CALLERS,
        others: 0,
    };

    /// Which edges are called, in turn: those that are processes as often as all others.
    pub(super) fn round(&self) -> Vec<usize> {
        match self.others.checked_sub(1) {
            None => (0..EDGES).collect(),
            Some(called) => (EDGES..EDGES + called)
                .flat_map(|other| [other, other % EDGES])
                .collect(),
        }
    }
}
