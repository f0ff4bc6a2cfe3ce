//! Whole edges, with all they have but TCP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use grpc_multiplexer_client::{Backend, Edge, EdgeIncoming};
use grpc_multiplexer_tunnel::{Chance, ClientId};
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use tokio::io::{AsyncWriteExt as _, copy, split};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::network::{Door, Path};

/// Where an edge may run.
pub(super) struct Machine {
    number: u8,
    pub(super) client_id: ClientId,
    pub(super) tunnels: u32,
    /// Processes so far.
    starts: u8,
    pub(super) process: Option<Process>,
}

/// One process of an edge.
pub(super) struct Process {
    pub(super) path: Arc<Path>,
    stop: CancellationToken,
    work: JoinSet<()>,
}

impl Machine {
    pub(super) fn new(number: u8, client_id: &str, tunnels: u32) -> Self {
        Self {
            number,
            client_id: client_id.parse().unwrap(),
            tunnels,
            starts: 0,
            process: None,
        }
    }

    /// Starts an edge, with an echo for a backend.
    pub(super) fn start(&mut self, door: &Door, chance: &mut StdRng, delays: &Chance) -> Arc<Path> {
        self.starts += 1;
        let latency = Duration::from_millis(chance.random_range(1..=150));
        let piece = *[64, 500, 4096].choose(chance).unwrap();
        let remote = SocketAddr::from(([10, 0, self.number, self.starts], 1));
        let path = Path::new(door, remote, latency, piece, chance.random());
        let connect = Arc::clone(&path);
        let (backend, incoming) = Backend::in_process();
        let server = "server:1".parse().unwrap();
        let edge = Edge::new(self.client_id.clone(), backend, server)
            .with_tunnels(self.tunnels)
            .simulated(move || connect.connect(), delays.clone());
        let stop = CancellationToken::new();
        let mut work = JoinSet::new();
        let run = edge.run(stop.clone());
        work.spawn(async {
            run.await;
        });
        work.spawn(echo(incoming));
        self.process = Some(Process {
            path: Arc::clone(&path),
            stop,
            work,
        });
        path
    }
}

impl Process {
    /// Ends it in the middle of whatever it does.
    pub(super) async fn crash(mut self) {
        self.work.shutdown().await;
    }

    /// Asks it to end.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Whether it ended.
    pub(super) fn is_over(&mut self) -> bool {
        while let Some(ended) = self.work.try_join_next() {
            ended.unwrap();
        }
        self.work.is_empty()
    }
}

async fn echo(mut incoming: EdgeIncoming) {
    let mut streams = JoinSet::new();
    while let Some(Ok(stream)) = incoming.next().await {
        streams.spawn(async {
            let (mut from, mut to) = split(stream);
            if copy(&mut from, &mut to).await.is_ok() {
                let _ = to.shutdown().await;
            }
        });
    }
    while streams.join_next().await.is_some() {}
}
