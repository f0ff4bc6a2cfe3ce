//! The server without its sockets, and without callers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use grpc_multiplexer_process::{Remarks, Seldom, Threads};
use grpc_multiplexer_tunnel::{BoxedIo, Chance, TunnelConfig};
use rand::Rng as _;
use rand::rngs::StdRng;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::EdgeHandle;
use super::super::lanes::Terms;
use super::super::listener::Edges;
use super::super::tunnel::run;
use super::doomed::Doomed;
use super::network::{Arrival, Door};
use crate::credential::{Credential, Failures};
use crate::guard::Floods;
use crate::hooks::Hooks;
use crate::jwt::{KeyFetches, Verifier};
use crate::metrics::Metrics;
use crate::newcomers::Newcomers;
use crate::overload::Overload;
use crate::registry::Registry;
use crate::settings::Live;
use crate::{DuplicateClientId, Limits, Settings};

/// Tunnels at a time, in all.
pub(super) const TUNNELS: usize = 64;

/// Every tunnel that was taken, and its end may not be known yet.
pub(super) type Taken = Arc<Mutex<Vec<Arc<EdgeHandle>>>>;

/// One process of the server.
pub(super) struct Server {
    pub(super) edges: Arc<Edges>,
    pub(super) taken: Taken,
    /// Cancelled when no task of it is to end in the middle any more.
    pub(super) spared: CancellationToken,
    work: JoinSet<()>,
}

impl Server {
    /// One that takes what comes to `door`. Now and then, if `fragile`, the task of a tunnel ends in the middle.
    pub(super) fn start(
        door: &Door,
        duplicates: DuplicateClientId,
        chance: &Chance,
        fragile: Option<StdRng>,
    ) -> Self {
        let mut server = Self::of(Arc::new(edges(duplicates, chance)));
        let (sender, arrivals) = mpsc::channel(64);
        *door.lock().unwrap() = Some(sender);
        let (edges, taken) = (Arc::clone(&server.edges), Arc::clone(&server.taken));
        let spared = server.spared.clone();
        server
            .work
            .spawn(accept(edges, arrivals, taken, fragile, spared));
        server
    }

    /// One that nobody can dial.
    pub(super) fn of(edges: Arc<Edges>) -> Self {
        Self {
            edges,
            taken: Arc::default(),
            spared: CancellationToken::new(),
            work: JoinSet::new(),
        }
    }

    pub(super) fn registry(&self) -> &Arc<Registry> {
        &self.edges.registry
    }

    /// Whether nobody can dial it any more.
    pub(super) fn is_over(&mut self) -> bool {
        while let Some(ended) = self.work.try_join_next() {
            ended.unwrap();
        }
        self.work.is_empty()
    }

    /// Ends the process in the middle of whatever it does.
    pub(super) async fn crash(mut self, door: &Door) {
        *door.lock().unwrap() = None;
        self.work.shutdown().await;
    }
}

pub(super) fn edges(duplicates: DuplicateClientId, chance: &Chance) -> Edges {
    let limits = Limits::default();
    let metrics = Metrics::default();
    let settings = Settings {
        duplicate_client_id: duplicates,
        tunnel: TunnelConfig {
            chance: chance.clone(),
            ..TunnelConfig::default()
        },
        ..Settings::default()
    };
    let settings = Live::Fixed(Box::new(settings));
    let config = settings.now(|settings| settings.tunnel.clone());
    let lanes = Terms {
        limits: limits.per_edge(),
        dial_timeout: config.dial_timeout,
        cancels: metrics.cancels.clone(),
        floods: Arc::new(Floods::new(metrics.clone())),
    };
    Edges {
        registry: Registry::new(),
        config,
        newcomers: Newcomers::new(limits.handshakes),
        threads: Threads::default(),
        tunnels: Arc::new(Semaphore::new(TUNNELS)),
        overload: Overload::new(&limits),
        turned_away: Seldom::default(),
        limits,
        jwts: Arc::new(Verifier::of_edges(settings.clone(), KeyFetches::default())),
        enrolled: None,
        hooks: Hooks::none(),
        settings,
        server_id: "simulated".to_owned(),
        proxy_port: 0,
        remarks: Remarks::default(),
        failures: Failures::default(),
        lanes: Arc::new(lanes),
        metrics,
        close: CancellationToken::new(),
        tasks: TaskTracker::new(),
    }
}

async fn accept(
    edges: Arc<Edges>,
    mut arrivals: mpsc::Receiver<Arrival>,
    taken: Taken,
    mut fragile: Option<StdRng>,
    spared: CancellationToken,
) {
    let mut tunnels = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(ended) = tunnels.join_next() => ended.unwrap(),
            arrival = arrivals.recv() => {
                let Some((io, remote)) = arrival else {
                    return;
                };
                let serve = serve(Arc::clone(&edges), io, remote, Arc::clone(&taken));
                // A quarter of them, at some time of their lives.
                let dies = fragile.as_mut().map(|chance| chance.random_range(0..800));
                let polls = dies.filter(|polls| *polls < 200).unwrap_or(u32::MAX);
                let serve = Doomed::new(serve, polls, spared.clone());
                tunnels.spawn(async {
                    serve.await;
                });
            }
        }
    }
}

/// What the listener does with a socket once it was greeted.
pub(super) async fn serve(edges: Arc<Edges>, io: BoxedIo, remote: SocketAddr, taken: Taken) {
    let seat = edges.newcomers.seat().await;
    let met = edges.meet(io, remote, Credential::default(), &seat).await;
    let Ok((admitted, place)) = met else {
        return;
    };
    drop(seat);
    taken.lock().unwrap().push(Arc::clone(&admitted.edge));
    run(admitted, edges, place).await;
}
