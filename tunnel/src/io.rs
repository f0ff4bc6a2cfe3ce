//! The bytes under a session: the erased I/O type, and the only adapter between tokio and yamux.
//!
//! yamux writes a frame's header and body apart and flushes after each, which is two or more system calls per
//! frame. [`Coalescing`] gathers what yamux writes and sends it when yamux is about to wait for input (its driver
//! has then handed over everything it had), or when enough is gathered. Reads go through one buffer, which is
//! given back while the tunnel is idle: an idle edge costs no buffer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, yield_now};
use tokio_util::io::poll_read_buf;

use crate::flood::FloodGuard;
use crate::session::Activity;
use crate::speaks::FIRST_BYTES;

/// Any byte pipe a tunnel can run over.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A byte pipe whose kind does not matter any more.
pub type BoxedIo = Box<dyn Io>;

/// Read buffer while bytes come in.
const READ_BUFFER: usize = 64 * 1024;
/// Gathered bytes that are sent without waiting for the reader to run dry.
const WRITE_HIGH: usize = 128 * 1024;
/// A piece as large as that goes to the socket without the detour over our buffer, and takes along what was gathered.
const WRITE_THROUGH: usize = 16 * 1024;
/// Reads that gathered bytes wait for at most.
const READS_PER_SEND: u8 = 4;
/// Connections whose end is passed on between two looks at who else has something to do. Ten thousand may end in one
/// moment, and what that takes would else keep everybody waiting who goes on.
const ENDS: usize = 16;
/// A write buffer that grew beyond this is given back once empty.
const WRITE_KEEP: usize = 4 * 1024;

/// tokio I/O as yamux wants it: buffered, gathered, and reporting every sign of life to [`Activity`].
pub(crate) struct Coalescing {
    io: BoxedIo,
    incoming: BytesMut,
    outgoing: BytesMut,
    /// Reads since the last send, while bytes wait.
    reads: u8,
    /// The socket was full at the last write.
    blocked: bool,
    /// What was written may lie in a buffer of TLS, which asks to be flushed.
    unflushed: bool,
    /// Where the first bytes are noted for whoever must say what the peer is, until they came.
    first: Option<Arc<OnceLock<Vec<u8>>>>,
    flood: FloodGuard,
    activity: Arc<Activity>,
    end: Option<End>,
    turns: &'static Semaphore,
}

/// One for each end that may be passed on.
static TURNS: Semaphore = Semaphore::const_new(ENDS);

/// The end of what the peer sends, passed on when it is its turn.
enum End {
    Waits {
        turn: JoinSet<()>,
        how: io::Result<()>,
    },
    PassedOn,
}

impl End {
    fn of(how: io::Result<()>, turns: &'static Semaphore) -> Self {
        // On a task of its own: not everybody who waits for a turn is polled when it comes, and must not keep it.
        let mut turn = JoinSet::new();
        turn.spawn(async {
            let _turn = turns.acquire().await;
            // After all that is under way.
            yield_now().await;
        });
        Self::Waits { turn, how }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Self::Waits { turn, how } = self else {
            return Poll::Ready(Ok(0));
        };
        // It fails only with its runtime.
        let _ = ready!(turn.poll_join_next(cx));
        let how = std::mem::replace(how, Ok(()));
        *self = Self::PassedOn;
        Poll::Ready(how.map(|()| 0))
    }
}

impl Coalescing {
    pub(crate) fn new(io: BoxedIo, activity: Arc<Activity>) -> Self {
        Self {
            io,
            incoming: BytesMut::new(),
            outgoing: BytesMut::new(),
            reads: 0,
            blocked: false,
            unflushed: false,
            first: None,
            flood: FloodGuard::new(),
            activity,
            end: None,
            turns: &TURNS,
        }
    }

    /// The beginning of the first bytes, once they came. To be asked for before anything is read.
    pub(crate) fn first(&mut self) -> Arc<OnceLock<Vec<u8>>> {
        Arc::clone(self.first.get_or_insert_default())
    }

    /// Hands gathered bytes to the socket until none is left.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.reads = 0;
        while !self.outgoing.is_empty() {
            let written = Pin::new(&mut self.io).poll_write(cx, &self.outgoing);
            let n = ready!(self.note(written))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unflushed = true;
            self.outgoing.advance(n);
            self.flood.sent(n);
        }
        if self.unflushed {
            let flushed = Pin::new(&mut self.io).poll_flush(cx);
            ready!(self.note(flushed))?;
            self.unflushed = false;
        }
        if self.outgoing.capacity() > WRITE_KEEP {
            self.outgoing = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Hands what was gathered to the socket, and `bytes` after it. Returns how many of these it took.
    fn send_through(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<usize> {
        let slices = [IoSlice::new(&self.outgoing), IoSlice::new(bytes)];
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, &slices);
        let Poll::Ready(n) = self.note(written)? else {
            return Ok(0);
        };
        self.unflushed = true;
        self.flood.sent(n);
        let gathered = n.min(self.outgoing.len());
        self.outgoing.advance(gathered);
        Ok(n - gathered)
    }

    /// Sees whether the socket was full, and is no more.
    fn note<T>(&mut self, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let was_blocked = std::mem::replace(&mut self.blocked, done.is_pending());
        if was_blocked && matches!(done, Poll::Ready(Ok(_))) {
            self.activity.unblocked();
        }
        done
    }

    /// Input that never pauses must not keep what we have to say: credit, heartbeats, requests.
    fn send_beside_reads(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.outgoing.is_empty() && !self.unflushed {
            return Ok(());
        }
        self.reads += 1;
        if self.reads >= READS_PER_SEND
            && let Poll::Ready(sent) = self.poll_send(cx)
        {
            return sent;
        }
        Ok(())
    }

    /// Refills the read buffer, and sends what was gathered before it waits.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.incoming.reserve(READ_BUFFER);
        match poll_read_buf(Pin::new(&mut self.io), cx, &mut self.incoming) {
            Poll::Ready(Ok(n)) => {
                if n > 0 {
                    self.activity.received();
                    self.flood.received(&self.incoming)?;
                    if let Some(first) = self.first.take() {
                        first.get_or_init(|| self.incoming[..n.min(FIRST_BYTES)].to_vec());
                    }
                }
                self.send_beside_reads(cx)?;
                Poll::Ready(Ok(n))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                self.incoming = BytesMut::new();
                if let Poll::Ready(Err(error)) = self.poll_send(cx) {
                    return Poll::Ready(Err(error));
                }
                Poll::Pending
            }
        }
    }
}

impl futures::AsyncRead for Coalescing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(end) = &mut self.end {
            return end.poll(cx);
        }
        if self.incoming.is_empty() {
            let through = buffer.len() >= READ_BUFFER;
            let read = if through {
                self.poll_read_through(cx, buffer)
            } else {
                self.poll_fill(cx)
            };
            match ready!(read) {
                Ok(n @ 1..) if through => return Poll::Ready(Ok(n)),
                Ok(1..) => {}
                end => {
                    self.incoming = BytesMut::new();
                    // No call is to begin on what is over.
                    self.activity.set_suspected(true);
                    let end = End::of(end.map(drop), self.turns);
                    return self.end.insert(end).poll(cx);
                }
            }
        }
        let n = buffer.len().min(self.incoming.len());
        self.incoming.copy_to_slice(&mut buffer[..n]);
        Poll::Ready(Ok(n))
    }
}

impl Coalescing {
    /// A read as large as our buffer goes to the socket without the detour.
    fn poll_read_through(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut target = ReadBuf::new(buffer);
        match Pin::new(&mut self.io).poll_read(cx, &mut target) {
            Poll::Ready(result) => {
                result?;
                let n = target.filled().len();
                if n > 0 {
                    self.activity.received();
                    self.flood.received(target.filled())?;
                }
                self.send_beside_reads(cx)?;
                Poll::Ready(Ok(n))
            }
            Poll::Pending => {
                if let Poll::Ready(Err(error)) = self.poll_send(cx) {
                    return Poll::Ready(Err(error));
                }
                Poll::Pending
            }
        }
    }
}

impl futures::AsyncWrite for Coalescing {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.outgoing.len() >= WRITE_HIGH {
            ready!(self.poll_send(cx))?;
        }
        let mut sent = 0;
        if bytes.len() >= WRITE_THROUGH && !self.blocked && self.io.is_write_vectored() {
            sent = self.send_through(cx, bytes)?;
        }
        self.outgoing.extend_from_slice(&bytes[sent..]);
        Poll::Ready(Ok(bytes.len()))
    }

    /// Does nothing on purpose: the bytes leave when the reader runs dry, see the module's documentation.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    fn pair() -> (Coalescing, tokio::io::DuplexStream) {
        let (near, far) = tokio::io::duplex(1024);
        (
            Coalescing::new(Box::new(near), Arc::new(Activity::new())),
            far,
        )
    }

    #[tokio::test]
    async fn gathered_bytes_leave_when_the_reader_would_wait() {
        let (mut near, mut far) = pair();
        futures::AsyncWriteExt::write_all(&mut near, b"abc")
            .await
            .unwrap();
        futures::AsyncWriteExt::flush(&mut near).await.unwrap();
        let mut one = [0; 1];
        assert!(futures::poll!(futures::AsyncReadExt::read(&mut near, &mut one)).is_pending());
        let mut got = [0; 3];
        far.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"abc");
    }

    #[tokio::test]
    async fn a_large_piece_leaves_at_once_with_what_was_gathered() {
        for room in [1024, 64 * 1024] {
            let (near, mut far) = tokio::io::duplex(room);
            let mut near = Coalescing::new(Box::new(near), Arc::new(Activity::new()));
            let large: Vec<u8> = (0..WRITE_THROUGH).map(|n| n as u8).collect();
            for piece in [b"gathered", &large[..], b"after it"] {
                let write = futures::AsyncWriteExt::write_all(&mut near, piece);
                write.await.unwrap();
            }
            let at_once = room.min(8 + WRITE_THROUGH);
            let mut got = vec![0; at_once];
            far.read_exact(&mut got).await.unwrap();
            assert!(futures::poll!(pin!(far.read_u8())).is_pending());
            // The rest leaves as ever.
            let all = [b"gathered", &large[..], b"after it"].concat();
            while got.len() < all.len() {
                let mut one = [0; 1];
                let read = futures::AsyncReadExt::read(&mut near, &mut one);
                assert!(futures::poll!(pin!(read)).is_pending());
                far.read_buf(&mut got).await.unwrap();
            }
            assert!(got == all);
        }
    }

    /// As TLS does, which encrypts into a buffer of its own.
    #[tokio::test]
    async fn what_the_pipe_buffers_itself_leaves_as_well_once_there_is_room() {
        let (near, mut far) = tokio::io::duplex(4);
        let near = tokio::io::BufWriter::with_capacity(64, near);
        let mut near = Coalescing::new(Box::new(near), Arc::new(Activity::new()));
        futures::AsyncWriteExt::write_all(&mut near, b"abcdefgh")
            .await
            .unwrap();
        let mut one = [0; 1];
        let mut got = [0; 8];
        for part in got.chunks_mut(4) {
            assert!(futures::poll!(futures::AsyncReadExt::read(&mut near, &mut one)).is_pending());
            far.read_exact(part).await.unwrap();
        }
        assert_eq!(&got, b"abcdefgh");
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_pipe_that_takes_bytes_again_is_a_sign_of_life() {
        let (mut near, mut far) = pair();
        let activity = Arc::clone(&near.activity);
        let start = activity.signs().last_received;
        tokio::time::advance(Duration::from_secs(5)).await;
        near.write_all(&[0; 3000]).await.unwrap();
        let mut one = [0; 1];
        assert!(futures::poll!(near.read(&mut one)).is_pending());
        assert_eq!(activity.signs().last_received, start, "it was not full yet");
        far.read_exact(&mut [0; 1024]).await.unwrap();
        assert!(futures::poll!(near.read(&mut one)).is_pending());
        let signs = activity.signs();
        assert_eq!(signs.last_received, start + Duration::from_secs(5));
    }

    #[tokio::test]
    async fn many_that_end_at_once_let_others_go_on() {
        // Those of the process are for other tests, too.
        let turns: &Semaphore = Box::leak(Box::new(Semaphore::new(ENDS)));
        let ended = Arc::new(AtomicUsize::new(0));
        let mut ends = JoinSet::new();
        for _ in 0..100 * ENDS {
            let (mut near, _) = pair();
            near.turns = turns;
            let ended = Arc::clone(&ended);
            ends.spawn(async move {
                let mut one = [0; 1];
                assert_eq!(near.read(&mut one).await.unwrap(), 0);
                ended.fetch_add(1, Ordering::Relaxed);
                // It stays ended.
                assert_eq!(near.read(&mut one).await.unwrap(), 0);
            });
        }
        let (mut here, mut there) = tokio::io::duplex(1);
        ends.spawn(async move { while there.write_all(&[0]).await.is_ok() {} });
        let mut before = 0;
        while before < 100 * ENDS {
            here.read_exact(&mut [0]).await.unwrap();
            let now = ended.load(Ordering::Relaxed);
            assert!(now - before <= 2 * ENDS, "{}", now - before);
            before = now;
        }
    }

    #[tokio::test]
    async fn how_a_connection_broke_is_passed_on() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap());
        let near = Box::new(near.await.unwrap());
        let (far, _) = listener.accept().await.unwrap();
        far.set_zero_linger().unwrap();
        drop(far);
        let mut near = Coalescing::new(near, Arc::new(Activity::new()));
        let error = near.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn closing_sends_what_is_left() {
        let (mut near, mut far) = pair();
        near.write_all(b"last").await.unwrap();
        near.close().await.unwrap();
        let mut got = Vec::new();
        far.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"last");
    }

    #[tokio::test]
    async fn an_idle_pipe_keeps_no_buffer() {
        let (mut near, mut far) = pair();
        far.write_all(b"x").await.unwrap();
        let mut one = [0; 1];
        near.read_exact(&mut one).await.unwrap();
        assert!(futures::poll!(near.read(&mut one)).is_pending());
        assert_eq!(near.incoming.capacity(), 0);
    }
}
