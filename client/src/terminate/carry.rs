//! The bytes of one stream, moved through a [`Terminate`].
//!
//! The two directions share it, and one task polls both. Each reads only when what it has for its target is written: so a
//! backend that reads nothing stops the server, and not the credit that it gives itself.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use grpc_multiplexer_tunnel::{BoxedIo, Session, TunnelStream};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::Instant;

use super::{Budget, Terminate};
use crate::splice::{BUFFER, Cut, Side, both, close_server, cut, whole};

/// The round trip of a tunnel that does not know its own yet.
const ROUND_TRIP: Duration = Duration::from_millis(100);

/// Copies until both halves are closed or one side is gone. `hear` is told what the backend says first, or how it broke off.
pub(crate) async fn splice(
    stream: TunnelStream,
    backend: BoxedIo,
    session: &Session,
    budget: Budget,
    hear: impl FnOnce(Result<&[u8], &io::Error>),
) {
    let peer = stream.peer_end();
    let (mut from_server, mut to_server) = tokio::io::split(stream);
    let (mut from_backend, mut to_backend) = tokio::io::split(backend);
    let middle = Middle {
        state: Mutex::new(Terminate::new(budget, Instant::now())),
        session,
    };
    let up = async {
        let mut way = Way::default();
        let came = poll_fn(|cx| middle.poll_up(cx, &mut from_server, &mut to_backend, &mut way));
        whole(came.await, &peer).await?;
        let rest = poll_fn(|cx| middle.poll_rest(cx, &mut to_backend, &mut way));
        if let Err(side) = rest.await {
            return Err(cut(side).await);
        }
        to_backend.shutdown().await.map_err(|_| Cut::Backend)
    };
    let down = async {
        let mut way = Way::default();
        let mut hear = Some(hear);
        let said = poll_fn(|cx| {
            middle.poll_down(cx, &mut from_backend, &mut to_server, &mut way, &mut hear)
        });
        close_server(said.await, &mut to_server).await
    };
    if let Err(Cut::Backend) = both(&peer, up, down).await {
        from_server.unsplit(to_server).backend_lost();
    }
}

struct Middle<'s> {
    state: Mutex<Terminate>,
    session: &'s Session,
}

/// One direction.
#[derive(Default)]
struct Way {
    /// What came, and was not understood yet.
    came: BytesMut,
    bytes: u64,
    /// What is to be written.
    goes: BytesMut,
    end: Option<io::Result<()>>,
}

impl Way {
    /// Reads what is there, up to a bound. Pending when it is nothing, and no end either.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut (impl AsyncRead + Unpin),
    ) -> Poll<usize> {
        let before = self.came.len();
        while self.end.is_none() && self.came.len() < before + BUFFER {
            self.came.reserve(BUFFER);
            match pin!(source.read_buf(&mut self.came)).poll(cx) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(end) => self.end = Some(end.map(|_| ())),
                Poll::Pending if self.came.len() == before => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        let new = self.came.len() - before;
        self.bytes += new as u64;
        Poll::Ready(new)
    }

    /// Writes all that there is, and what `more` has then.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        target: &mut (impl AsyncWrite + Unpin),
        mut more: impl FnMut(&mut BytesMut),
    ) -> Poll<Result<(), Side>> {
        loop {
            if self.goes.is_empty() {
                more(&mut self.goes);
                if self.goes.is_empty() {
                    return Poll::Ready(Ok(()));
                }
            }
            match ready!(Pin::new(&mut *target).poll_write(cx, &self.goes)) {
                Ok(written @ 1..) => self.goes.advance(written),
                Ok(0) | Err(_) => return Poll::Ready(Err(Side::Target)),
            }
        }
    }
}

impl Middle<'_> {
    fn lock(&self) -> MutexGuard<'_, Terminate> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll_write_backend(
        &self,
        cx: &mut Context<'_>,
        to: &mut (impl AsyncWrite + Unpin),
        way: &mut Way,
    ) -> Poll<Result<(), Side>> {
        let rtt = self.session.rtt().unwrap_or(ROUND_TRIP);
        let more = |output: &mut BytesMut| self.lock().tell_backend(Instant::now(), rtt, output);
        way.poll_write(cx, to, more)
    }

    /// Ready when the server ended its half, with how many bytes came.
    fn poll_up(
        &self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        way: &mut Way,
    ) -> Poll<Result<u64, Side>> {
        loop {
            ready!(self.poll_write_backend(cx, to, way))?;
            if let Some(end) = way.end.take() {
                return Poll::Ready(end.map(|()| way.bytes).map_err(|_| Side::Source));
            }
            if way.poll_read(cx, from).is_pending() {
                return poll_flush(cx, to);
            }
            if let Err(error) = self.lock().hear_server(&mut way.came) {
                tracing::warn!(%error, "what the server sent cannot be passed on");
                return Poll::Ready(Err(Side::Source));
            }
        }
    }

    /// Ready when all that came from the server went on, whose half ended. Where the backend ended its own as well, that is never.
    fn poll_rest(
        &self,
        cx: &mut Context<'_>,
        to: &mut (impl AsyncWrite + Unpin),
        way: &mut Way,
    ) -> Poll<Result<(), Side>> {
        ready!(self.poll_write_backend(cx, to, way))?;
        let middle = self.lock();
        if middle.is_drained() {
            return Poll::Ready(Ok(()));
        }
        if middle.backend_ended {
            return Poll::Ready(Err(Side::Target));
        }
        drop(middle);
        poll_flush(cx, to)
    }

    /// Ready when the backend ended its half.
    fn poll_down(
        &self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        way: &mut Way,
        hear: &mut Option<impl FnOnce(Result<&[u8], &io::Error>)>,
    ) -> Poll<Result<u64, Side>> {
        loop {
            ready!(way.poll_write(cx, to, |output| self.lock().tell_server(output)))?;
            if let Some(end) = way.end.take() {
                return Poll::Ready(end.map(|()| way.bytes).map_err(|_| Side::Source));
            }
            let Poll::Ready(new) = way.poll_read(cx, from) else {
                return poll_flush(cx, to);
            };
            if let Some(hear) = hear.take() {
                match &way.end {
                    Some(Err(error)) if new == 0 => hear(Err(error)),
                    _ => hear(Ok(&way.came)),
                }
            }
            let mut middle = self.lock();
            if let Err(error) = middle.hear_backend(&mut way.came) {
                tracing::warn!(%error, "what the backend sent cannot be passed on");
                return Poll::Ready(Err(Side::Source));
            }
            if way.end.is_some() {
                middle.backend_ended(&mut way.came);
            }
            if way.end.is_some() || middle.has_news() {
                // For the other direction, which is polled by this task too.
                cx.waker().wake_by_ref();
            }
        }
    }
}

/// Never ready but with an error.
fn poll_flush<T>(
    cx: &mut Context<'_>,
    target: &mut (impl AsyncWrite + Unpin),
) -> Poll<Result<T, Side>> {
    match ready!(Pin::new(target).poll_flush(cx)) {
        Ok(()) => Poll::Pending,
        Err(_) => Poll::Ready(Err(Side::Target)),
    }
}
