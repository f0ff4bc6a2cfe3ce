//! One stream of a tunnel: a byte pipe that knows how it ended.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::Stream as _;
use futures::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::SetOnce;

use crate::message::{StreamEnded, stream_ended::How};
use crate::session::{Shared, Wire};

/// How the peer's half of a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEnd {
    /// Orderly, after that many bytes.
    Fin {
        /// Bytes that the peer wrote.
        bytes: u64,
    },
    /// The peer gave up.
    Reset,
    /// The connection between the peer and its backend broke.
    BackendLost,
    /// The peer ended it for a reason of its own.
    Local,
    /// The tunnel ended first.
    TunnelLost,
}

/// Tells how the peer's half of a stream ended, once it did. Outlives the stream.
///
/// A peer on the original's wire says nothing of it, so that only the loss of the tunnel is told.
#[derive(Debug, Clone, Default)]
pub struct PeerEnd(Arc<SetOnce<StreamEnd>>);

impl PeerEnd {
    pub(crate) fn set(&self, end: StreamEnd) {
        // The first word counts.
        let _ = self.0.set(end);
    }

    /// How it ended, if it did.
    #[must_use]
    pub fn get(&self) -> Option<StreamEnd> {
        self.0.get().copied()
    }

    /// Waits for the end.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn wait(&self) -> StreamEnd {
        *self.0.wait().await
    }
}

/// Wakes whoever waits on a stream once its tunnel is over. yamux wakes nobody where it was this side that closed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waiters(Arc<BothWays>);

#[derive(Debug, Default)]
struct BothWays {
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Waiters {
    pub(crate) fn wake(&self) {
        self.0.reader.wake();
        self.0.writer.wake();
    }
}

/// What a stream shares with the list of those that are open.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    pub(crate) peer: PeerEnd,
    pub(crate) waiters: Waiters,
}

/// A yamux stream as tokio I/O.
///
/// Reads take whole packets and copy from them, which spares yamux's own read path the zeroing of the target buffer.
pub(crate) struct RawStream {
    yamux: yamux::Stream,
    packet: Option<(yamux::Packet, usize)>,
}

impl fmt::Debug for RawStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.yamux.fmt(f)
    }
}

impl RawStream {
    pub(crate) fn new(yamux: yamux::Stream) -> Self {
        Self {
            yamux,
            packet: None,
        }
    }
}

impl AsyncRead for RawStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if let Some((packet, offset)) = &mut self.packet {
                let rest = &packet.as_ref()[*offset..];
                if !rest.is_empty() {
                    let n = rest.len().min(buffer.remaining());
                    buffer.put_slice(&rest[..n]);
                    *offset += n;
                    return Poll::Ready(Ok(()));
                }
            }
            self.packet = match ready!(Pin::new(&mut self.yamux).poll_next(cx)) {
                Some(packet) => Some((packet?, 0)),
                None => return Poll::Ready(Ok(())),
            };
        }
    }
}

impl AsyncWrite for RawStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        futures::AsyncWrite::poll_write(Pin::new(&mut self.yamux), cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        futures::AsyncWrite::poll_flush(Pin::new(&mut self.yamux), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        futures::AsyncWrite::poll_close(Pin::new(&mut self.yamux), cx)
    }
}

/// A stream that both ends agreed on. Dropped before [`shutdown`](tokio::io::AsyncWriteExt::shutdown), it is reset.
///
/// Its end, as a reader sees it, says nothing about completeness: ask [`TunnelStream::peer_end`].
pub struct TunnelStream {
    raw: RawStream,
    tag: u64,
    written: u64,
    /// What to tell the peer when the stream is dropped; `None` once it was told.
    farewell: Option<How>,
    place: Place,
    shared: Arc<Shared>,
}

impl fmt::Debug for TunnelStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TunnelStream")
            .field("tag", &self.tag)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

impl TunnelStream {
    pub(crate) fn new(raw: RawStream, tag: u64, place: Place, shared: &Arc<Shared>) -> Self {
        Self {
            raw,
            tag,
            written: 0,
            farewell: Some(How::Reset),
            place,
            shared: Arc::clone(shared),
        }
    }

    /// `Open` and `Opened` do not count among the bytes of a stream.
    pub(crate) fn start_counting(&mut self) {
        self.written = 0;
    }

    /// Tells how the peer's half ended, once it did.
    #[must_use]
    pub fn peer_end(&self) -> PeerEnd {
        self.place.peer.clone()
    }

    /// Whether it is of the original's wire.
    #[must_use]
    pub fn is_legacy(&self) -> bool {
        self.shared.wire == Wire::Bare
    }

    /// Drops the stream, and tells the peer that the backend's connection broke.
    pub fn backend_lost(mut self) {
        if self.farewell.is_some() {
            self.farewell = Some(How::BackendLost);
        }
    }

    /// For whoever waits on yamux: ready once the tunnel is over.
    fn poll_over(&self, waiter: &AtomicWaker, cx: &mut Context<'_>) -> Poll<()> {
        waiter.register(cx.waker());
        if self.shared.is_over() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    fn tell(&mut self, how: How) {
        self.farewell = None;
        self.shared.stream_ended(StreamEnded {
            tag: self.tag,
            how: how.into(),
            bytes_sent: self.written,
        });
    }
}

impl Drop for TunnelStream {
    fn drop(&mut self) {
        if let Some(how) = self.farewell {
            self.tell(how);
        }
        match self.shared.wire {
            Wire::Messages => self.shared.streams.done(self.tag),
            Wire::Bare => self.shared.streams.forget(self.tag),
        }
    }
}

impl AsyncRead for TunnelStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if Pin::new(&mut self.raw).poll_read(cx, buffer)?.is_pending() {
            ready!(self.poll_over(&self.place.waiters.0.reader, cx));
            // What came between the two looks is still read; then it is as yamux shows it where the peer ended the tunnel.
            if Pin::new(&mut self.raw).poll_read(cx, buffer)?.is_pending() {
                return Poll::Ready(Ok(()));
            }
        }
        if self.is_legacy() {
            self.shared.activity.stream_moved();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TunnelStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Poll::Ready(n) = Pin::new(&mut self.raw).poll_write(cx, bytes)? else {
            let over = self.poll_over(&self.place.waiters.0.writer, cx);
            return over.map(|()| Err(io::ErrorKind::BrokenPipe.into()));
        };
        self.written += n as u64;
        match self.shared.wire {
            Wire::Messages => self.shared.activity.used(),
            Wire::Bare => self.shared.activity.stream_moved(),
        }
        Poll::Ready(Ok(n))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.raw).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // yamux closes a stream that the peer reset without a complaint.
        let was_reset = self.raw.yamux.is_closed();
        ready!(Pin::new(&mut self.raw).poll_shutdown(cx))?;
        if self.farewell.is_some() {
            self.tell(if was_reset { How::Reset } else { How::Fin });
        }
        Poll::Ready(Ok(()))
    }
}
