//! A new server process takes over from an old one, and no call notices.
//!
//! ```text
//! new                     old
//! sockets ->              gives its sockets: both have them now, and only the old one accepts
//! edges ->                accepts no edge any more, names its edges, and tells them to come again
//!   accepts edges         serves callers over the old tunnels
//! callers ->              once the edges are over
//!                <- all
//! done ->                 tells its callers to go elsewhere, finishes their calls, and ends
//!   accepts callers
//! ```
//!
//! Until `done` the old process takes everything back when the new one ends, or is silent for too long. The new one gives
//! up when the old one says no; when the old one ends, whatever the reason, it goes on alone: it has the sockets.

use std::future::pending;
use std::path::PathBuf;
use std::time::Duration;

use grpc_multiplexer_process::{HandoverError, HandoverSocket, Link, Sockets, predecessor};
use grpc_multiplexer_tunnel::ClientId;
use tokio::time::{interval, timeout};
use tracing::{info, warn};

use crate::PROGRAM;
use crate::doors::Doors;
use crate::edge::listener::{Edges, TURN};
use crate::registry::Registry;

/// What the other process may take for a word that needs no work.
const WORD: Duration = Duration::from_secs(5);
/// What the new process may take to start once it has the sockets.
const START: Duration = Duration::from_secs(30);
/// What edges may take to come to the new process, before it takes callers without the rest, beyond the time in which they
/// are told to come.
const EDGES_COME: Duration = Duration::from_secs(10);
/// How often it is looked for them.
const LOOK: Duration = Duration::from_millis(10);

/// Processes before and after this one.
#[derive(Debug)]
pub(crate) struct Upgrade {
    /// Where they meet.
    path: PathBuf,
    /// The process before, unless this one is the first.
    old: Option<Old>,
}

/// The process before this one.
#[derive(Debug)]
struct Old {
    link: Link,
}

impl Upgrade {
    /// Looks for a process to take over from, and gets its sockets.
    pub(crate) async fn begin(path: PathBuf) -> Result<(Self, Sockets), HandoverError> {
        let Some(mut link) = predecessor(&path, &PROGRAM).await? else {
            return Ok((Self { path, old: None }, Sockets::default()));
        };
        let left = link.take_sockets().await?;
        let old = Some(Old { link });
        Ok((Self { path, old }, left))
    }

    /// Opens the doors, after those of the process before where there is one; and returns once a process after this one
    /// has them.
    pub(crate) async fn run(self, doors: &mut Doors, edges: &Edges) -> Result<(), HandoverError> {
        let Some(mut old) = self.old else {
            // A path that cannot be used is found out before anybody is served.
            let socket = HandoverSocket::bind(&self.path)?;
            doors.open();
            hand_over(socket, doors, edges).await;
            return Ok(());
        };
        old.take_over(doors, &edges.registry).await?;
        let hand_over = async {
            let socket = HandoverSocket::bind_or_wait(&self.path).await;
            hand_over(socket, doors, edges).await;
        };
        tokio::select! {
            error = old.taken_back() => Err(error),
            () = hand_over => Ok(()),
        }
    }
}

impl Old {
    /// Takes the edges, and then the callers.
    async fn take_over(
        &mut self,
        doors: &mut Doors,
        registry: &Registry,
    ) -> Result<(), HandoverError> {
        let edges = unless_gone(self.take_edges().await)?;
        doors.open_to_edges();
        edges_over(registry, edges.unwrap_or_default()).await;
        unless_gone(self.take_callers().await)?;
        doors.open_to_callers();
        info!("took over from the process before");
        Ok(())
    }

    async fn take_edges(&mut self) -> Result<Vec<ClientId>, HandoverError> {
        self.link.say("edges").await?;
        let mut edges = Vec::new();
        loop {
            let said = self.link.hear(WORD).await?;
            if said == "all" {
                return Ok(edges);
            }
            let edge = said.strip_prefix("edge ").and_then(|id| id.parse().ok());
            edges.push(edge.ok_or(HandoverError::Unexpected(said))?);
        }
    }

    async fn take_callers(&mut self) -> Result<(), HandoverError> {
        self.link.say("callers").await?;
        self.link.expect("all", WORD).await?;
        self.link.say("done").await
    }

    /// Returns if it took everything back after all, because it did not hear in time.
    async fn taken_back(mut self) -> HandoverError {
        match self.link.hear(Duration::MAX).await {
            Err(error @ HandoverError::Refused(_)) => error,
            // It has ended, as it should.
            _ => {
                drop(self);
                pending().await
            }
        }
    }
}

/// A process before this one that is gone leaves everything to this one.
fn unless_gone<T>(heard: Result<T, HandoverError>) -> Result<Option<T>, HandoverError> {
    match heard {
        Err(HandoverError::Gone) => {
            warn!("the process before ended while it handed over: this one goes on alone");
            Ok(None)
        }
        heard => heard.map(Some),
    }
}

/// What so many edges may take in all.
fn edges_come(edges: usize) -> Duration {
    EDGES_COME + TURN * u32::try_from(edges).unwrap_or(u32::MAX)
}

/// Waits until nearly all of `missing` are in the registry, or have had their time.
async fn edges_over(registry: &Registry, mut missing: Vec<ClientId>) {
    let edges = missing.len();
    let come = async {
        let mut looks = interval(LOOK);
        while missing.len() > edges / 100 {
            looks.tick().await;
            missing.retain(|id| registry.get(id).is_none());
        }
    };
    if timeout(edges_come(edges), come).await.is_ok() {
        info!(edges, missing = missing.len(), "the edges are over");
    } else {
        warn!(
            edges,
            missing = missing.len(),
            "taking callers though edges are missing"
        );
    }
}

/// Hands over to the first process that comes and sees it through.
async fn hand_over(socket: HandoverSocket, doors: &mut Doors, edges: &Edges) {
    loop {
        let mut new = socket.successor(&PROGRAM).await;
        let Err(error) = hand(&mut new, doors, edges).await else {
            return socket.leave();
        };
        doors.open_to_edges();
        new.not_handed(&error).await;
    }
}

async fn hand(new: &mut Link, doors: &mut Doors, edges: &Edges) -> Result<(), HandoverError> {
    new.give_sockets(doors.sockets()).await?;
    new.expect("edges", START).await?;
    doors.close_to_edges().await;
    let tunnels = edges.registry.edges().len();
    for sessions in edges.registry.snapshot().edges {
        // Those of the original's cannot be told, and come when their calls are over.
        if sessions.iter().any(|edge| !edge.session().is_legacy()) {
            new.say(&format!("edge {}", sessions.client_id())).await?;
        }
    }
    new.say("all").await?;
    edges.send_away();
    new.expect("callers", edges_come(tunnels) + WORD).await?;
    new.say("all").await?;
    new.expect("done", WORD).await
}
