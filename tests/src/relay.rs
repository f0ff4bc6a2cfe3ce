//! A link between two processes that a test can hold, slow down and cut.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// What a relay's sockets may receive ahead.
const BUFFER: usize = 32 * 1024;

/// What a link does with the bytes of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Passes them on.
    Open,
    /// Passes nothing on, and says nothing: a black hole.
    Held,
    /// Passes on so many bytes a second.
    Slow(u32),
}

/// A relay that listens and dials `target` for each connection. Stops when dropped.
#[derive(Debug)]
pub struct Relay {
    /// Where it listens.
    pub address: SocketAddr,
    forth: watch::Sender<Link>,
    back: watch::Sender<Link>,
    /// Cancelled to reset what is connected.
    cut: Arc<Mutex<CancellationToken>>,
    _tasks: JoinSet<()>,
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
        let forth = watch::Sender::new(Link::Open);
        let back = watch::Sender::new(Link::Open);
        let cut = Arc::new(Mutex::new(CancellationToken::new()));
        let mut tasks = JoinSet::new();
        let (links, now) = ([forth.subscribe(), back.subscribe()], Arc::clone(&cut));
        tasks.spawn(async move {
            let mut pairs = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let cut = now.lock().unwrap().clone();
                let links = links.clone();
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
            forth,
            back,
            cut,
            _tasks: tasks,
        }
    }

    /// What happens to both directions from now on, also of what is connected.
    pub fn set(&self, link: Link) {
        self.set_forth(link);
        self.set_back(link);
    }

    /// What happens to bytes from who dialled to the target.
    pub fn set_forth(&self, link: Link) {
        self.forth.send_replace(link);
    }

    /// What happens to bytes from the target to who dialled.
    pub fn set_back(&self, link: Link) {
        self.back.send_replace(link);
    }

    /// Resets all that is connected now.
    pub fn cut(&self) {
        let next = CancellationToken::new();
        let old = std::mem::replace(&mut *self.cut.lock().unwrap(), next);
        old.cancel();
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
    loop {
        let most = match *link.borrow() {
            Link::Slow(rate) => (rate as usize / 20).clamp(1, buffer.len()),
            Link::Open | Link::Held => buffer.len(),
        };
        let Ok(read) = from.read(&mut buffer[..most]).await else {
            return;
        };
        if link.wait_for(|link| *link != Link::Held).await.is_err() {
            return;
        }
        let rate = match *link.borrow() {
            Link::Slow(rate) => Some(rate),
            Link::Open | Link::Held => None,
        };
        if let Some(rate) = rate {
            sleep(Duration::from_secs_f64(read as f64 / f64::from(rate))).await;
        }
        if read == 0 {
            // Dropped, it would be reset.
            let _ = to.shutdown().await;
            return std::future::pending().await;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
