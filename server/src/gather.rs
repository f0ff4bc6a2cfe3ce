//! Bytes on their way to a caller, in fewer and larger pieces.
//!
//! h2 writes and flushes each DATA frame by itself, and most callers take frames of 16 KiB at most: a system call for each.
//! [`Gathering`] lets what is small through, with all that was before it, and keeps what is not until there is a large piece of
//! it, or until the connection's task, which it wakes for that, finds nothing more to read: it has written all that it had by
//! then.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What leaves without waiting for more.
const PIECE: usize = 64 * 1024;
/// Less than this is let through: a few small calls, and no bulk.
const SMALL: usize = 8 * 1024;

#[derive(Debug)]
pub(crate) struct Gathering<T> {
    io: T,
    gathered: BytesMut,
    /// What was gathered is to leave when the reader waits.
    is_flushed: bool,
    /// Something small is among it.
    is_urgent: bool,
}

impl<T> Gathering<T> {
    pub(crate) fn new(io: T) -> Self {
        Self {
            io,
            gathered: BytesMut::new(),
            is_flushed: false,
            is_urgent: false,
        }
    }
}

impl<T: AsyncWrite + Unpin> Gathering<T> {
    /// Hands over what was gathered. Ready when nothing is left of it.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.gathered.is_empty() {
            let n = ready!(Pin::new(&mut self.io).poll_write(cx, &self.gathered))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.gathered.advance(n);
        }
        self.gathered = BytesMut::new();
        self.is_flushed = false;
        self.is_urgent = false;
        Pin::new(&mut self.io).poll_flush(cx)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gathering<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        if read.is_pending()
            && self.is_flushed
            && let Poll::Ready(Err(error)) = self.poll_send(cx)
        {
            return Poll::Ready(Err(error));
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Gathering<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.gathered.len() >= PIECE {
            ready!(self.poll_send(cx))?;
        }
        let len = slices.iter().map(|slice| slice.len()).sum();
        let is_one = slices.len() == 1 || self.io.is_write_vectored();
        let is_gathered = (SMALL..PIECE).contains(&len) || !is_one;
        if self.gathered.is_empty() && !is_gathered {
            return Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        }
        self.is_urgent |= len < SMALL;
        self.gathered.reserve(PIECE.max(len));
        for slice in slices {
            self.gathered.extend_from_slice(slice);
        }
        Poll::Ready(Ok(len))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_urgent || !(SMALL..PIECE).contains(&self.gathered.len()) {
            return self.poll_send(cx);
        }
        if !self.is_flushed {
            self.is_flushed = true;
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    const FRAME: usize = 16 * 1024;

    fn pair(room: usize) -> (Gathering<DuplexStream>, DuplexStream) {
        let (near, far) = duplex(room);
        (Gathering::new(near), far)
    }

    /// As h2 does it.
    async fn write(near: &mut Gathering<DuplexStream>, len: usize) {
        near.write_all(&vec![7; len]).await.unwrap();
        near.flush().await.unwrap();
    }

    /// What has come by now.
    async fn came(far: &mut DuplexStream) -> usize {
        let mut got = vec![0; 1 << 20];
        let mut all = 0;
        while let Poll::Ready(read) = futures::poll!(pin!(far.read(&mut got))) {
            all += read.unwrap();
        }
        all
    }

    async fn would_wait(near: &mut Gathering<DuplexStream>) {
        assert!(futures::poll!(pin!(near.read_u8())).is_pending());
    }

    #[tokio::test]
    async fn what_is_small_leaves_at_once() {
        let (mut near, mut far) = pair(1 << 20);
        for len in [1, SMALL - 1] {
            write(&mut near, len).await;
            assert_eq!(came(&mut far).await, len);
        }
    }

    #[tokio::test]
    async fn what_is_not_leaves_in_large_pieces_and_the_rest_when_the_reader_would_wait() {
        let (mut near, mut far) = pair(1 << 20);
        for frames in [1, 2, 3] {
            write(&mut near, FRAME).await;
            assert_eq!(came(&mut far).await, 0, "{frames}");
        }
        write(&mut near, FRAME).await;
        assert_eq!(came(&mut far).await, PIECE);
        write(&mut near, FRAME).await;
        assert_eq!(came(&mut far).await, 0);
        would_wait(&mut near).await;
        assert_eq!(came(&mut far).await, FRAME);
        assert_eq!(near.gathered.capacity(), 0);
    }

    #[tokio::test]
    async fn what_is_small_takes_along_what_is_not() {
        let (mut near, mut far) = pair(1 << 20);
        write(&mut near, FRAME).await;
        write(&mut near, 1).await;
        assert_eq!(came(&mut far).await, FRAME + 1);
        // And no more than that.
        write(&mut near, FRAME).await;
        assert_eq!(came(&mut far).await, 0);
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_waited_for() {
        let (mut near, mut far) = pair(FRAME);
        let mut taken = 0;
        while futures::poll!(pin!(write(&mut near, FRAME))).is_ready() {
            taken += FRAME;
            assert!(taken < 4 * PIECE, "nothing is waited for");
        }
        would_wait(&mut near).await;
        let mut got = 0;
        for _ in 0..16 {
            got += came(&mut far).await;
            would_wait(&mut near).await;
        }
        assert!(got >= taken, "{got} of {taken}");
    }

    #[tokio::test]
    async fn the_end_comes_after_all_that_was_gathered() {
        let (mut near, mut far) = pair(1 << 20);
        write(&mut near, FRAME).await;
        near.shutdown().await.unwrap();
        let mut got = Vec::new();
        far.read_to_end(&mut got).await.unwrap();
        assert_eq!(got.len(), FRAME);
    }
}
