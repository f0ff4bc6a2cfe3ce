//! A socket whose first bytes were read to see what it speaks, and are read again by whoever speaks that.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

#[derive(Debug)]
pub(crate) struct Rewind<T> {
    first: Bytes,
    io: T,
    /// Where somebody wants to know.
    written: Option<Written>,
}

/// What became of what was written last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Written(Arc<Mutex<Last>>);

#[derive(Debug, Clone, Copy, Default)]
enum Last {
    #[default]
    Nothing,
    /// It did not fit into the socket.
    Stuck,
    At(Instant),
}

impl Written {
    /// Whether all of it went out, and so just now.
    pub(crate) fn within(&self, time: Duration) -> bool {
        matches!(*self.lock(), Last::At(at) if at.elapsed() <= time)
    }

    /// Whether there is more to write than the socket takes.
    pub(crate) fn is_stuck(&self) -> bool {
        matches!(*self.lock(), Last::Stuck)
    }

    fn note(&self, is_stuck: bool) {
        *self.lock() = if is_stuck {
            Last::Stuck
        } else {
            Last::At(Instant::now())
        };
    }

    fn lock(&self) -> MutexGuard<'_, Last> {
        // Nothing panics while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Rewind<T> {
    pub(crate) fn new(first: Bytes, io: T) -> Self {
        Self {
            first,
            io,
            written: None,
        }
    }

    /// Tells of later writes.
    pub(crate) fn written(&mut self) -> Written {
        self.written.get_or_insert_default().clone()
    }

    fn note<R>(&self, written: Poll<R>) -> Poll<R> {
        if let Some(last) = &self.written {
            last.note(written.is_pending());
        }
        written
    }

    /// Without the first bytes.
    pub(crate) fn into_inner(self) -> T {
        self.io
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Rewind<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buffer);
        }
        let n = self.first.len().min(buffer.remaining());
        buffer.put_slice(&self.first[..n]);
        self.first.advance(n);
        if self.first.is_empty() {
            // It keeps room for what was taken.
            self.first = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Rewind<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
