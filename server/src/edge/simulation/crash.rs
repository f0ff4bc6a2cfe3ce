//! A crash at every await: whichever end of a tunnel is dropped, at whichever of its polls, nothing is left of it and
//! nobody is locked out by it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use grpc_multiplexer_tunnel::message::{Endpoint, Hello, Welcome};
use grpc_multiplexer_tunnel::{BoxedIo, Chance, HandshakeError, TunnelConfig, dial};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::doomed::Doomed;
use super::network::{Arrival, Door, Path};
use super::server::{Server, TUNNELS, edges, serve};
use super::trace::Trace;
use super::watcher::{Watcher, Well};
use crate::DuplicateClientId;
use crate::moment::paused;

/// How much of a tunnel's life is looked at: its hello and a few heartbeats.
const LIFE: Duration = Duration::from_secs(25);
/// When what is over is known to be, where it was told.
const KNOWN: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
enum Victim {
    Edge,
    Server,
}

/// How a tunnel comes.
#[derive(Debug, Clone, Copy)]
enum Comes {
    ToAFreeName,
    /// In place of a tunnel of the same edge, which is up.
    InPlaceOfItsOwn,
    /// While another edge has the name.
    AsAStranger,
}

#[test]
fn a_crash_at_any_await_leaves_nothing_and_locks_nobody_out() {
    for victim in [Victim::Edge, Victim::Server] {
        for comes in [
            Comes::ToAFreeName,
            Comes::InPlaceOfItsOwn,
            Comes::AsAStranger,
        ] {
            let mut polls = 0;
            while paused().block_on(crash(victim, comes, polls)) {
                polls += 1;
            }
            assert!(polls > 5, "{victim:?} {comes:?} lives for {polls} polls");
        }
    }
}

/// True if the victim was still there to be dropped.
async fn crash(victim: Victim, comes: Comes, polls: u32) -> bool {
    let mut bench = Bench::new();
    let first = Hello {
        instance_id: vec![1; 16],
        ..hello()
    };
    let mut welcome = Welcome::default();
    if !matches!(comes, Comes::ToAFreeName) {
        welcome = bench
            .edge(first.clone())
            .await
            .expect("a name that is free");
    }
    let again = Hello {
        resume_token: welcome.resume_token,
        ..first
    };
    let hello = match comes {
        Comes::AsAStranger => Hello {
            instance_id: vec![2; 16],
            ..hello()
        },
        Comes::ToAFreeName | Comes::InPlaceOfItsOwn => again.clone(),
    };
    let crashed = bench.tunnel(victim, hello, polls).await;
    sleep(KNOWN).await;
    bench.check();
    if let Comes::AsAStranger = comes {
        assert_eq!(bench.listed(), 1, "the one that was there stays");
    }
    // With what the edge knew before, it gets in at once.
    let welcome = timeout(KNOWN, bench.edge(again)).await;
    let welcome = welcome.expect("an answer in time");
    assert!(welcome.is_ok(), "{victim:?} {comes:?} {polls}: {welcome:?}");
    sleep(KNOWN).await;
    bench.check();
    assert_eq!(bench.listed(), 1, "{victim:?} {comes:?} {polls}");
    bench.end().await;
    crashed
}

fn hello() -> Hello {
    Hello {
        endpoints: vec![Endpoint {
            client_id: "a".to_owned(),
            scheme: "http".to_owned(),
            authority: "backend".to_owned(),
            ..Endpoint::default()
        }],
        ..Hello::default()
    }
}

/// A server whose tunnels are served one by one, and the way to it.
struct Bench {
    server: Server,
    arrivals: mpsc::Receiver<Arrival>,
    path: Arc<Path>,
    config: TunnelConfig,
    watcher: Watcher,
    trace: Trace,
    /// Both ends of tunnels that live.
    ends: JoinSet<()>,
}

impl Bench {
    fn new() -> Self {
        let chance = Chance::seeded(1);
        let door = Door::default();
        let (sender, arrivals) = mpsc::channel(1);
        *door.lock().unwrap() = Some(sender);
        let remote = SocketAddr::from(([10, 0, 0, 1], 1));
        // In small pieces, so that there are many awaits.
        let path = Path::new(&door, remote, Duration::from_millis(40), 16, 1);
        let edges = Arc::new(edges(DuplicateClientId::Reject, &chance));
        let server = Server::of(edges);
        Self {
            watcher: Watcher::begin(server.registry()),
            server,
            arrivals,
            path,
            config: TunnelConfig {
                chance,
                ..TunnelConfig::default()
            },
            trace: Trace::begin(),
            ends: JoinSet::new(),
        }
    }

    /// Both ends of a new connection.
    async fn connect(&mut self) -> (BoxedIo, impl Future<Output = ()> + Send + 'static) {
        let near = self.path.connect().await.unwrap();
        let (far, remote) = self.arrivals.recv().await.unwrap();
        let edges = Arc::clone(&self.server.edges);
        (
            near,
            serve(edges, far, remote, Arc::clone(&self.server.taken)),
        )
    }

    /// An edge that lives on.
    async fn edge(&mut self, hello: Hello) -> Result<Welcome, HandshakeError> {
        let (near, serve) = self.connect().await;
        self.ends.spawn(serve);
        let config = self.config.clone();
        let (told, welcome) = oneshot::channel();
        self.ends.spawn(async move {
            match dial(near, hello, &config).await {
                Ok((tunnel, welcome)) => {
                    let _ = told.send(Ok(welcome));
                    tunnel.task.run().await;
                }
                Err(error) => drop(told.send(Err(error))),
            }
        });
        welcome.await.unwrap()
    }

    /// A tunnel of which one end is dropped at that poll. True if it was.
    async fn tunnel(&mut self, victim: Victim, hello: Hello, polls: u32) -> bool {
        let (near, serve) = self.connect().await;
        let config = self.config.clone();
        let edge = async move {
            if let Ok((tunnel, _)) = dial(near, hello, &config).await {
                tunnel.task.run().await;
            }
        };
        let (mut other, never) = (JoinSet::new(), CancellationToken::new());
        let dropped = match victim {
            Victim::Edge => {
                other.spawn(serve);
                timeout(LIFE, Doomed::new(edge, polls, never)).await
            }
            Victim::Server => {
                other.spawn(edge);
                timeout(LIFE, Doomed::new(serve, polls, never)).await
            }
        };
        // What is left of it learns it, or was told to end itself.
        let _ = timeout(LIFE, async { while other.join_next().await.is_some() {} }).await;
        matches!(dropped, Ok(None))
    }

    fn check(&mut self) {
        let reject = DuplicateClientId::Reject;
        let well = Well::new();
        self.watcher
            .check(&self.server, reject, &well, &mut self.trace);
    }

    fn listed(&self) -> usize {
        self.watcher.listed(&"a".parse().unwrap())
    }

    /// Ends all, and sees that nothing is left.
    async fn end(mut self) {
        self.ends.shutdown().await;
        sleep(KNOWN).await;
        self.check();
        assert_eq!(self.listed(), 0);
        let tunnels = &self.server.edges.tunnels;
        assert_eq!(tunnels.available_permits(), TUNNELS);
        assert_eq!(self.path.links(), 0);
        let tasks = Handle::current().metrics().num_alive_tasks();
        assert_eq!(tasks, 0, "a task is left");
    }
}
