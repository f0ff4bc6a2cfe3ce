//! A new edge process takes over from an old one, and no call notices.
//!
//! ```text
//! new                     old
//! sockets ->              gives its sockets, if it has any
//! identity ->             says who it is to servers, and dials no more
//!   dials, as the same edge: servers move its calls to the new tunnels
//! up ->                   once every slot has its tunnel
//!                <- done  drains: finishes the calls of the old tunnels, and ends
//! ```
//!
//! Until `up` the old process goes on when the new one ends or is silent for too long, and says no to what comes later.

use std::path::{Path, PathBuf};
use std::time::Duration;

use grpc_multiplexer_process::{HandoverError, HandoverSocket, Link, Sockets, predecessor};
use grpc_multiplexer_tunnel::ClientId;
use tracing::info;

use crate::PROGRAM;
use crate::supervisor::{Fleet, Identity};

/// What the other process may take for a word that needs no work.
const WORD: Duration = Duration::from_secs(5);
/// What the new process may take to get its tunnels. Meanwhile this one dials no server.
const UP: Duration = Duration::from_secs(60);

/// Processes of an edge before and after this one.
#[derive(Debug)]
pub struct Upgrade {
    before: Before,
    sockets: Sockets,
}

#[derive(Debug)]
enum Before {
    /// Nobody: this process is the first one.
    Nobody(HandoverSocket),
    /// One that hands over, and where.
    Old(Old, PathBuf),
}

/// The process before this one.
#[derive(Debug)]
struct Old {
    link: Link,
    client_id: ClientId,
    identity: Identity,
}

impl Upgrade {
    /// Looks for a process at `path` to take over from, and learns who it is to servers. An edge without a client id of
    /// its own keeps that one's.
    ///
    /// # Errors
    ///
    /// When there is one that does not hand over, or `path` cannot be used.
    pub async fn begin(path: &Path) -> Result<Self, HandoverError> {
        let Some(mut link) = predecessor(path, &PROGRAM).await? else {
            let before = Before::Nobody(HandoverSocket::bind(path)?);
            let sockets = Sockets::default();
            return Ok(Self { before, sockets });
        };
        let sockets = link.take_sockets().await?;
        let (client_id, identity) = hear_identity(&mut link).await?;
        let old = Old {
            link,
            client_id,
            identity,
        };
        let before = Before::Old(old, path.to_owned());
        Ok(Self { before, sockets })
    }

    /// What the process before listened on. What is opened here is handed over in turn.
    pub fn sockets(&mut self) -> &mut Sockets {
        &mut self.sockets
    }

    /// Who the process before was, to callers and to servers.
    pub(crate) fn identity(&self) -> Option<(ClientId, Identity)> {
        match &self.before {
            Before::Nobody(_) => None,
            Before::Old(old, _) => Some((old.client_id.clone(), old.identity.clone())),
        }
    }

    /// Ends the process before once the slots are up, and returns when a process after this one wants the same.
    pub(crate) async fn run(self, fleet: &Fleet) -> Result<(), HandoverError> {
        let socket = match self.before {
            Before::Nobody(socket) => socket,
            Before::Old(old, path) => {
                match old.take_over(fleet).await {
                    Err(HandoverError::Gone) => info!("the process before has ended by itself"),
                    taken => taken?,
                }
                HandoverSocket::bind_or_wait(&path).await
            }
        };
        loop {
            let mut new = socket.successor(&PROGRAM).await;
            let Err(error) = hand(&mut new, &self.sockets, fleet).await else {
                socket.leave();
                return Ok(());
            };
            fleet.hold(false);
            new.not_handed(&error).await;
        }
    }
}

impl Old {
    async fn take_over(mut self, fleet: &Fleet) -> Result<(), HandoverError> {
        tokio::select! {
            said = self.link.hear(Duration::MAX) => {
                return Err(HandoverError::Unexpected(said?));
            }
            () = fleet.up() => {}
        }
        self.link.say("up").await?;
        self.link.expect("done", WORD).await?;
        info!("took over from the process before");
        Ok(())
    }
}

async fn hear_identity(link: &mut Link) -> Result<(ClientId, Identity), HandoverError> {
    link.say("identity").await?;
    let said = link.hear(WORD).await?;
    let client_id = said
        .strip_prefix("client-id ")
        .and_then(|id| id.parse().ok());
    // What it said may be a secret, in an order of another version's.
    let client_id =
        client_id.ok_or_else(|| HandoverError::Unexpected("no client id".to_owned()))?;
    let mut lines = Vec::new();
    loop {
        let said = link.hear(WORD).await?;
        if said == "all" {
            break;
        }
        lines.push(said);
    }
    // What it says is secret.
    let unexpected = || HandoverError::Unexpected("another identity than is known here".to_owned());
    let identity = Identity::read(&lines).ok_or_else(unexpected)?;
    Ok((client_id, identity))
}

async fn hand(new: &mut Link, sockets: &Sockets, fleet: &Fleet) -> Result<(), HandoverError> {
    new.give_sockets(sockets).await?;
    new.expect("identity", WORD).await?;
    // Two processes with one identity would take each other's tunnels in turn.
    fleet.hold(true);
    new.say(&format!("client-id {}", fleet.client_id())).await?;
    for line in fleet.identity().lines() {
        new.say(&line).await?;
    }
    new.say("all").await?;
    new.expect("up", UP).await?;
    new.say("done").await
}
