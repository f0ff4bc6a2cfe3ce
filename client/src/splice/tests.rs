//! Streams of real tunnels over a pipe in memory, on both wires, and a backend that takes no more bytes.

use std::pin::Pin;
use std::sync::Mutex;
use std::task::Context;

use grpc_multiplexer_tunnel::message::{Hello, Welcome, open::Kind};
use grpc_multiplexer_tunnel::{
    Arrival, BARE_ENDPOINT, Incoming, Session, SessionTask, TunnelConfig, accept, dial, dial_legacy,
};
use tokio::io::{DuplexStream, ReadBuf, duplex};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::*;
use crate::terminate::Budget;
use crate::{Backend, legacy, terminate};

const LIMIT: Duration = Duration::from_secs(20);
/// What a server sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const WORDS: &[u8] = b"not like this";

/// What keeps a tunnel up: the server's end of its stream, and the work behind both ends.
type Alive = (TunnelStream, Session, Incoming, [JoinSet<()>; 2]);

/// A stream on which a server said something.
async fn tunnel(is_legacy: bool) -> (TunnelStream, Alive) {
    let (near, far) = duplex(64 * 1024);
    let config = TunnelConfig::default();
    let server = async {
        let tunnel = match accept(Box::new(near), &config).await.unwrap() {
            Arrival::Hello(edge) => edge.welcome(Welcome::default()).await.unwrap(),
            Arrival::Legacy(edge) => edge.take(&config),
        };
        let work = runs(tunnel.task);
        let stream = tunnel.session.open(Kind::H2, BARE_ENDPOINT, LIMIT);
        let mut stream = stream.await.unwrap();
        stream.write_all(PREFACE).await.unwrap();
        stream.flush().await.unwrap();
        (stream, tunnel.session, tunnel.incoming, work)
    };
    let edge = async {
        let io = Box::new(far);
        let mut tunnel = if is_legacy {
            let id = "rainbow".parse().unwrap();
            dial_legacy(io, &id, &config).await.unwrap()
        } else {
            dial(io, Hello::default(), &config).await.unwrap().0
        };
        let work = runs(tunnel.task);
        let stream = tunnel.incoming.next().await.unwrap();
        let stream = stream.read_open(LIMIT).await.unwrap();
        (stream.accept().await.unwrap(), work)
    };
    let ((stream, session, incoming, work), (edge, further)) = tokio::join!(server, edge);
    (edge, (stream, session, incoming, [work, further]))
}

fn runs(task: SessionTask) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { drop(task.run().await) });
    tasks
}

/// A connection on which something may still come, and that takes nothing.
struct HungUp {
    words: DuplexStream,
    tried: Option<oneshot::Sender<()>>,
}

impl AsyncRead for HungUp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.words).poll_read(cx, buffer)
    }
}

impl AsyncWrite for HungUp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(tried) = self.tried.take() {
            tried.send(()).unwrap();
        }
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_backend_says_before_it_hangs_up_is_heard_on_both_wires_and_in_both_modes() {
    for (is_legacy, terminates) in [(false, false), (false, true), (true, false)] {
        let (edge, tunnel) = tunnel(is_legacy).await;
        let (words, mut backend) = duplex(1024);
        let (tried, failed) = oneshot::channel();
        let connection = Box::new(HungUp {
            words,
            tried: Some(tried),
        });
        let heard = Mutex::new(Vec::new());
        let hear = |first: Result<&[u8], &io::Error>| {
            *heard.lock().unwrap() = first.unwrap().to_vec();
        };
        let spliced = async {
            if is_legacy {
                let address = Backend::new("localhost:1".parse().unwrap());
                legacy::splice(edge, connection, &address, hear).await;
            } else if terminates {
                let budget = Budget::default();
                terminate::splice(edge, connection, &tunnel.1, budget, hear).await;
            } else {
                splice(edge, connection, hear).await;
            }
        };
        let says = async {
            failed.await.unwrap();
            // Nobody may be there any more.
            let _ = backend.write_all(WORDS).await;
            drop(backend);
        };
        tokio::join!(spliced, says);
        assert_eq!(*heard.lock().unwrap(), WORDS, "{is_legacy} {terminates}");
    }
}
