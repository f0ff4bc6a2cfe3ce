//! A link between two processes that a test can hold, slow down, garble and cut.

mod link;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use link::Link;
use link::pass;

/// What a relay's sockets may receive ahead.
const BUFFER: usize = 32 * 1024;

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
                while pairs.try_join_next().is_some() {}
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
    mut one: TcpStream,
    mut other: TcpStream,
    [forth, back]: [watch::Receiver<Link>; 2],
    cut: CancellationToken,
) {
    for socket in [&one, &other] {
        socket.set_nodelay(true).unwrap();
        // Dropped, it is reset.
        linger(socket, Some(Duration::ZERO));
    }
    // Not owned halves: dropped, those say that all is well at its end.
    let (one_read, one_write) = one.split();
    let (other_read, other_write) = other.split();
    let both = async {
        tokio::try_join!(
            pass(one_read, other_write, forth),
            pass(other_read, one_write, back)
        )
    };
    if let Some(Ok(_)) = cut.run_until_cancelled(both).await {
        // What was passed on last may still be on its way.
        linger(&one, None);
        linger(&other, None);
    }
}

fn linger(socket: &TcpStream, how_long: Option<Duration>) {
    socket2::SockRef::from(socket).set_linger(how_long).unwrap();
}
