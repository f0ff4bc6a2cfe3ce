//! A network in memory: bytes arrive late and in pieces, stand still, or are lost with everything else.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use grpc_multiplexer_tunnel::BoxedIo;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf};
use tokio::io::{duplex, split};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// What the kernels at both ends take ahead.
const BUFFER: usize = 16 * 1024;

/// The server's end of a new connection, and who dialled.
pub(super) type Arrival = (BoxedIo, SocketAddr);

/// Where a server takes what dials it, while there is one.
pub(super) type Door = Arc<Mutex<Option<mpsc::Sender<Arrival>>>>;

/// What becomes of bytes in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Open,
    /// They wait, as does the end behind them.
    Held,
    /// They are gone, as is the end behind them.
    Dark,
}

/// One direction. Not a `watch`, which wakes those who wait in an order of its own.
struct Direction {
    way: Mutex<Way>,
    changed: Notify,
}

impl Default for Direction {
    fn default() -> Self {
        Self {
            way: Mutex::new(Way::Open),
            changed: Notify::new(),
        }
    }
}

impl Direction {
    fn set(&self, way: Way) {
        *self.way.lock().unwrap() = way;
        self.changed.notify_waiters();
    }

    /// Waits until bytes move, wherever they go.
    async fn opened(&self) -> Way {
        loop {
            let changed = self.changed.notified();
            let way = *self.way.lock().unwrap();
            if way != Way::Held {
                return way;
            }
            changed.await;
        }
    }
}

/// The way from one edge's process to the server, and back.
pub(super) struct Path {
    door: Door,
    /// Who dials, as the server sees it.
    pub(super) remote: SocketAddr,
    forth: Direction,
    back: Direction,
    /// Cancelled to reset what is connected.
    cut: Mutex<CancellationToken>,
    /// What a piece may take from one end to the other.
    latency: Duration,
    /// How large a piece may be.
    piece: usize,
    chance: Mutex<StdRng>,
    links: Mutex<JoinSet<()>>,
}

impl Path {
    pub(super) fn new(
        door: &Door,
        remote: SocketAddr,
        latency: Duration,
        piece: usize,
        seed: u64,
    ) -> Arc<Self> {
        Arc::new(Self {
            door: Arc::clone(door),
            remote,
            forth: Direction::default(),
            back: Direction::default(),
            cut: Mutex::default(),
            latency,
            piece,
            chance: Mutex::new(StdRng::seed_from_u64(seed)),
            links: Mutex::default(),
        })
    }

    /// What happens from now on, also to what is connected.
    pub(super) fn set(&self, forth: Way, back: Way) {
        self.forth.set(forth);
        self.back.set(back);
    }

    /// Resets what is connected.
    pub(super) fn cut(&self) {
        let old = std::mem::take(&mut *self.cut.lock().unwrap());
        old.cancel();
    }

    /// The edge's end of a new connection.
    pub(super) fn connect(self: &Arc<Self>) -> BoxFuture<'static, io::Result<BoxedIo>> {
        let path = Arc::clone(self);
        async move {
            for way in [&path.forth, &path.back] {
                way.opened().await;
                sleep(path.delay()).await;
            }
            let (edge, near) = duplex(BUFFER);
            let (far, server) = duplex(BUFFER);
            let door = path.door.lock().unwrap().clone();
            let refused = |_| io::Error::from(io::ErrorKind::ConnectionRefused);
            let door = door.ok_or(()).map_err(refused)?;
            door.try_send((Box::new(server) as BoxedIo, path.remote))
                .map_err(|_| refused(()))?;
            let cut = path.cut.lock().unwrap().clone();
            let relay = relay(Arc::clone(&path), near, far);
            let mut links = path.links.lock().unwrap();
            while links.try_join_next().is_some() {}
            links.spawn(async move {
                cut.run_until_cancelled(relay).await;
            });
            Ok(Box::new(edge) as BoxedIo)
        }
        .boxed()
    }

    /// Connections that something may still come over.
    pub(super) fn links(&self) -> usize {
        let mut links = self.links.lock().unwrap();
        while links.try_join_next().is_some() {}
        links.len()
    }

    fn delay(&self) -> Duration {
        let part: f64 = self.chance.lock().unwrap().random();
        self.latency.mul_f64(part)
    }

    fn piece(&self) -> usize {
        self.chance.lock().unwrap().random_range(1..=self.piece)
    }
}

/// Both ways of one connection. Dropped, it is reset.
async fn relay(path: Arc<Path>, near: DuplexStream, far: DuplexStream) {
    let (near_read, near_write) = split(near);
    let (far_read, far_write) = split(far);
    let mut forth = pin!(pass(&path, near_read, far_write, &path.forth));
    let mut back = pin!(pass(&path, far_read, near_write, &path.back));
    // An end that takes nothing any more resets the other, once that can be told.
    if tokio::try_join!(forth.as_mut(), back.as_mut()).is_err() {
        path.forth.opened().await;
        path.back.opened().await;
    }
}

/// Passes bytes on in pieces, each late, and then their end. An error is that of the end that gives or takes them.
async fn pass(
    path: &Path,
    mut from: ReadHalf<DuplexStream>,
    mut to: WriteHalf<DuplexStream>,
    way: &Direction,
) -> io::Result<()> {
    let (under_way, mut arriving) = mpsc::channel::<(Instant, Vec<u8>)>(BUFFER / path.piece);
    let take = async {
        let mut last = Instant::now();
        loop {
            let mut piece = vec![0; path.piece()];
            let read = from.read(&mut piece).await?;
            piece.truncate(read);
            // None overtakes another.
            last = last.max(Instant::now() + path.delay());
            // The other half of this lives as long.
            let _ = under_way.send((last, piece)).await;
            if read == 0 {
                return Ok(());
            }
        }
    };
    let give = async {
        while let Some((at, piece)) = arriving.recv().await {
            sleep_until(at).await;
            match (way.opened().await, piece.is_empty()) {
                (Way::Dark, true) => break,
                (Way::Dark, false) => {}
                (_, true) => return to.shutdown().await,
                (_, false) => to.write_all(&piece).await?,
            }
        }
        Ok(())
    };
    tokio::try_join!(take, give).map(|_| ())
}
