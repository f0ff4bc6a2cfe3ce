//! What a fault happens to: a server, twenty edges before their backends, and forty callers that call all of them. The
//! first edge and its backend are those that faults of an edge happen to.
//!
//! Or the same callers and backends, and nothing in between: the first backend is the one behind a link then.

mod calling;
mod course;
mod programs;
mod remains;
mod setup;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use grpc_multiplexer_tests::{Folder, Mux, Process, Relay};
use tokio::time::Instant;

use crate::backend::Backend;
use crate::baseline::is_direct;
use crate::clock::Clock;
use crate::load::{Load, Way};
use crate::names::{Names, Says};
use crate::net::{Namespace, Place, THEIRS};
use crate::score::Score;
pub(crate) use crate::verdict::{Excuse, Fault};
pub(crate) use programs::PROGRAMS;
use programs::{Server, loopback};
pub(crate) use setup::{Link, Setup};

/// Edges, of which the first is the victim.
pub(crate) const EDGES: usize = 20;
/// The edge that faults of an edge happen to.
pub(crate) const VICTIM: usize = 0;
/// Where the server's name leads at first.
pub(crate) const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
/// The edge behind a relay where the victim is apart.
pub(crate) const RELAYED: usize = 1;
/// What all may take that has no limit of its own.
const LIMIT: Duration = Duration::from_secs(90);

/// All that runs.
pub(crate) struct World {
    setup: Setup,
    folder: Folder,
    pub(crate) mux: Mux,
    pub(crate) edges: Vec<Process>,
    /// The process of further edges.
    pub(crate) others: Option<Process>,
    pub(crate) backend: Backend,
    /// The victim's.
    pub(crate) own: Backend,
    relay: Option<Relay>,
    names: Option<Names>,
    clock: Option<Clock>,
    pub(crate) place: Place,
    load: Option<Load>,
    way: Way,
    /// When nobody had called yet.
    descriptors: Vec<usize>,
    struck: Instant,
    healed: Option<Instant>,
    /// Those that others came in place of.
    gone: (Vec<Mux>, Vec<Process>),
    /// How often the server is to panic.
    pub(crate) panics: usize,
    pub(crate) score: Score,
}

impl World {
    pub(crate) async fn start(setup: Setup) -> anyhow::Result<Self> {
        let folder = Folder::new("faults");
        let clock = setup.clock.then(|| Clock::new(&folder)).transpose()?;
        let server = Server {
            setup,
            folder: &folder,
            clock: clock.as_ref(),
        };
        let mux = server.start("127.0.0.1:0", "0.0.0.0:0").await?;
        let place = setup.link.place().await?;
        let notes = |name: &str| folder.0.join(name);
        let backend = Backend::start(&Place::Here, "127.0.0.1:0", &notes("shared")).await?;
        let at = match place {
            Place::Apart(_) if is_direct() => format!("{THEIRS}:0"),
            _ => "127.0.0.1:0".to_owned(),
        };
        let own = Backend::start(&place, &at, &notes("own")).await?;
        let end = if is_direct() {
            own.address
        } else {
            loopback(&mux)
        };
        let relay = setup.link.relay(end).await;
        let names = match setup.link {
            Link::Named => Some(Names::start(&folder, Says::At(FIRST_ADDRESS)).await?),
            _ => None,
        };
        let mut world = Self {
            descriptors: Vec::new(),
            struck: Instant::now(),
            healed: None,
            gone: Default::default(),
            panics: 0,
            score: Score::default(),
            edges: Vec::new(),
            others: None,
            load: None,
            way: Arc::new(|_| unreachable!("it is not known yet")),
            setup,
            folder,
            mux,
            backend,
            own,
            relay,
            names,
            clock,
            place,
        };
        if is_direct() {
            world.nothing_between();
        } else {
            world.start_edges().await?;
        }
        world.descriptors = world.open()?;
        world.start_load().await;
        world.strike();
        Ok(world)
    }

    async fn start_load(&mut self) {
        let Setup { load, callers, .. } = self.setup;
        let callers = if load { callers } else { 0 };
        self.load = Some(Load::start(callers, &self.setup.round(), &self.way));
        if load {
            // Lanes are open and windows have grown.
            self.pass(2).await;
        }
    }

    /// Every caller calls backends. The server is there, so that cases need not know, and has nothing to do.
    fn nothing_between(&mut self) {
        let victim = self
            .relay
            .as_ref()
            .map_or(self.own.address, |relay| relay.address);
        self.mux.proxy = victim;
        let (victim, shared) = (victim.to_string(), self.backend.address.to_string());
        self.way = Arc::new(move |edge| match edge {
            VICTIM => victim.clone(),
            _ => shared.clone(),
        });
    }

    /// Edges that are there when nothing is wrong.
    pub(crate) fn all(&self) -> usize {
        if is_direct() {
            0
        } else {
            EDGES + self.setup.others
        }
    }

    /// The backend of an edge that is a process.
    fn backend_of(&self, edge: usize) -> &Backend {
        match edge {
            VICTIM => &self.own,
            _ => &self.backend,
        }
    }

    /// Which edge is behind the relay.
    pub(crate) fn relayed(&self) -> usize {
        match self.setup.link {
            Link::Both => RELAYED,
            Link::Plain | Link::Named | Link::Apart | Link::Relayed(_) => VICTIM,
        }
    }

    /// The namespace of the victim.
    pub(crate) fn net(&self) -> &Namespace {
        match &self.place {
            Place::Apart(namespace) => namespace,
            Place::Here => unreachable!("the case asked for one"),
        }
    }

    /// The relay before the victim, or the edge after it.
    pub(crate) fn relay(&self) -> &Relay {
        self.relay.as_ref().expect("the case asked for one")
    }

    /// Who tells the victim where the server is.
    pub(crate) fn names(&self) -> &Names {
        self.names.as_ref().expect("the case asked for one")
    }

    /// What server and victim take for the time of day.
    pub(crate) fn clock(&self) -> &Clock {
        self.clock.as_ref().expect("the case asked for one")
    }

    pub(crate) fn victim(&mut self) -> &mut Process {
        &mut self.edges[VICTIM]
    }
}
