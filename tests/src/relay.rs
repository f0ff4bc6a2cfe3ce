//! A link between two processes that a test can hold, slow down, garble and cut.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// What a relay's sockets may receive ahead.
const BUFFER: usize = 32 * 1024;
/// What a late link has under way at most: 64 MiB in pieces of 16 KiB.
const LATE_PIECES: usize = 4096;

/// What a link does with the bytes of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Passes them on.
    Open,
    /// Passes nothing on, and says nothing: a black hole.
    Held,
    /// Passes on so many bytes a second.
    Slow(u32),
    /// Passes on what comes after `by`, and up to `jitter` more, in its order.
    Late {
        /// At least.
        by: Duration,
        /// Besides.
        jitter: Duration,
    },
    /// Turns one bit over in each piece that it passes on.
    Garbled,
}

/// A relay that listens and dials `target` for each connection. Stops when dropped.
#[derive(Debug)]
pub struct Relay {
    /// Where it listens.
    pub address: SocketAddr,
    /// What the next connection gets.
    path: Arc<Mutex<Path>>,
    forgotten: Mutex<Vec<Path>>,
    _tasks: JoinSet<()>,
}

/// What happens to connections.
#[derive(Debug)]
struct Path {
    forth: watch::Sender<Link>,
    back: watch::Sender<Link>,
    /// Cancelled to reset them.
    cut: CancellationToken,
}

impl Path {
    fn new() -> Self {
        Self {
            forth: watch::Sender::new(Link::Open),
            back: watch::Sender::new(Link::Open),
            cut: CancellationToken::new(),
        }
    }

    fn set(&self, link: Link) {
        self.forth.send_replace(link);
        self.back.send_replace(link);
    }
}

impl Relay {
    /// One in front of `target`.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // Inherited by what it accepts. A link keeps little by itself: what it does not pass on, its end feels soon.
        socket2::SockRef::from(&listener)
            .set_recv_buffer_size(BUFFER)
            .unwrap();
        let address = listener.local_addr().unwrap();
        let path = Arc::new(Mutex::new(Path::new()));
        let mut tasks = JoinSet::new();
        let now = Arc::clone(&path);
        tasks.spawn(async move {
            let mut pairs = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (links, cut) = {
                    let path = now.lock().unwrap();
                    let links = [path.forth.subscribe(), path.back.subscribe()];
                    (links, path.cut.clone())
                };
                pairs.spawn(async move {
                    let dial = TcpSocket::new_v4().unwrap();
                    dial.set_recv_buffer_size(BUFFER as u32).unwrap();
                    if let Ok(other) = dial.connect(target).await {
                        relay(socket, other, links, cut).await;
                    }
                });
            }
        });
        Self {
            address,
            path,
            forgotten: Mutex::default(),
            _tasks: tasks,
        }
    }

    /// What happens to both directions from now on, also of what is connected.
    pub fn set(&self, link: Link) {
        self.path.lock().unwrap().set(link);
    }

    /// What happens to bytes from who dialled to the target.
    pub fn set_forth(&self, link: Link) {
        self.path.lock().unwrap().forth.send_replace(link);
    }

    /// What happens to bytes from the target to who dialled.
    pub fn set_back(&self, link: Link) {
        self.path.lock().unwrap().back.send_replace(link);
    }

    /// Resets all that is connected now.
    pub fn cut(&self) {
        let next = CancellationToken::new();
        let old = std::mem::replace(&mut self.path.lock().unwrap().cut, next);
        old.cancel();
    }

    /// Passes nothing more on for what is connected now, and says nothing. What connects next is served.
    pub fn forget(&self) {
        let old = std::mem::replace(&mut *self.path.lock().unwrap(), Path::new());
        old.set(Link::Held);
        self.forgotten.lock().unwrap().push(old);
    }
}

async fn relay(
    one: TcpStream,
    other: TcpStream,
    [forth, back]: [watch::Receiver<Link>; 2],
    cut: CancellationToken,
) {
    for socket in [&one, &other] {
        socket.set_nodelay(true).unwrap();
        // Dropped, it is reset.
        socket2::SockRef::from(socket)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }
    let (one_read, one_write) = one.into_split();
    let (other_read, other_write) = other.into_split();
    let both = async {
        tokio::join!(
            pass(one_read, other_write, forth),
            pass(other_read, one_write, back)
        )
    };
    cut.run_until_cancelled(both).await;
}

/// Passes bytes on until one end is gone.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut link: watch::Receiver<Link>) {
    let mut buffer = vec![0; 16 * 1024];
    // What was read, and when it is to go on. Only a late link has more than one piece under way.
    let mut under_way = VecDeque::<(Instant, Vec<u8>)>::new();
    loop {
        let now = *link.borrow_and_update();
        let most = now.reads_at_a_time(buffer.len());
        let reads = under_way.is_empty()
            || matches!(now, Link::Late { .. }) && under_way.len() < LATE_PIECES;
        let due = under_way.front().map(|(due, _)| *due);
        tokio::select! {
            read = from.read(&mut buffer[..most]), if reads => {
                let Ok(read) = read else {
                    return;
                };
                let last = under_way.back().map(|(due, _)| *due);
                let due = (Instant::now() + now.takes(read)).max(last.unwrap_or_else(Instant::now));
                under_way.push_back((due, buffer[..read].to_vec()));
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() && now != Link::Held => {
                let (_, mut bytes) = under_way.pop_front().expect("it is due");
                if now == Link::Garbled {
                    turn_a_bit_over(&mut bytes);
                }
                if bytes.is_empty() {
                    // Dropped, it would be reset.
                    let _ = to.shutdown().await;
                    return std::future::pending().await;
                }
                if to.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            changed = link.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

fn turn_a_bit_over(bytes: &mut [u8]) {
    if !bytes.is_empty() {
        let bit = rand::random_range(0..8 * bytes.len());
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

impl Link {
    fn reads_at_a_time(self, most: usize) -> usize {
        match self {
            Self::Slow(rate) => (rate as usize / 20).clamp(1, most),
            Self::Open | Self::Held | Self::Late { .. } | Self::Garbled => most,
        }
    }

    /// What so many bytes are under way for.
    fn takes(self, bytes: usize) -> Duration {
        match self {
            Self::Open | Self::Held | Self::Garbled => Duration::ZERO,
            Self::Slow(rate) => Duration::from_secs_f64(bytes as f64 / f64::from(rate)),
            Self::Late { by, jitter } => by + jitter.mul_f64(rand::random()),
        }
    }
}
