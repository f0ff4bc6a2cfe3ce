//! A call as far as a tunnel knows one: a stream that the edge's backend echoes.

use std::sync::Arc;
use std::time::Duration;

use grpc_multiplexer_tunnel::message::open::Kind;
use grpc_multiplexer_tunnel::{BARE_ENDPOINT, ClientId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, split};
use tokio::time::timeout;

use super::super::EdgeHandle;
use crate::registry::Registry;
use crate::waiting::{Sight, WaitSettings};

/// What a backend may take to be there.
const DIAL: Duration = Duration::from_secs(5);
/// After this a call ends whose edge is held for longer.
const LIMIT: Duration = Duration::from_secs(30);

pub(super) struct Call {
    pub(super) registry: Arc<Registry>,
    pub(super) id: ClientId,
    /// Of several tunnels, which.
    pub(super) which: usize,
    pub(super) bytes: usize,
}

impl Call {
    /// Waits for the edge if it is away, and makes the call. `None` if it did not get through; it never gets other bytes
    /// back than it sent.
    pub(super) async fn run(self) -> Option<()> {
        let settings = WaitSettings::default();
        let waiting = self.registry.waiting();
        let edge = waiting
            .wait(&self.id, &settings, Sight::Clear, || self.edge())
            .await
            .ok()?;
        let opened = edge.session().open(Kind::H2, BARE_ENDPOINT, DIAL).await;
        let (mut from, mut to) = split(opened.ok()?);
        let said: Vec<u8> = (0..self.bytes).map(|n| (n % 251) as u8).collect();
        let mut heard = vec![0; self.bytes];
        let both = async {
            let say = async {
                to.write_all(&said).await?;
                to.shutdown().await
            };
            tokio::try_join!(say, from.read_exact(&mut heard))
        };
        timeout(LIMIT, both).await.ok()?.ok()?;
        assert!(heard == said, "other bytes came back");
        Some(())
    }

    /// As the registry picks one, but the same one each time.
    fn edge(&self) -> Option<Arc<EdgeHandle>> {
        let snapshot = self.registry.snapshot();
        let mut edges = snapshot.edges.iter();
        let sessions = edges.find(|sessions| *sessions.client_id() == self.id)?;
        let takes = |edge: &&Arc<EdgeHandle>| edge.session().in_rotation();
        let takes: Vec<_> = sessions.iter().filter(takes).collect();
        let which = self.which.checked_rem(takes.len())?;
        Some(Arc::clone(takes[which]))
    }
}
