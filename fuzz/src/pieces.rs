//! Bytes in pieces, as a network may cut them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use arbitrary::Arbitrary;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Sizes of pieces, in turns: each is one byte more than it says.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub struct Cuts([u8; 4]);

impl Cuts {
    /// `bytes`, cut.
    pub fn of(self, bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
        let mut sizes = self.0.into_iter().cycle();
        let mut rest = bytes;
        std::iter::from_fn(move || {
            let size = usize::from(sizes.next()?) + 1;
            let (piece, after) = rest.split_at(size.min(rest.len()));
            rest = after;
            (!piece.is_empty()).then_some(piece)
        })
    }
}

/// A pipe that gives one piece at a time, and takes whatever is written.
#[derive(Debug)]
pub struct Pipe<'b> {
    pieces: Vec<&'b [u8]>,
    /// What was written to it.
    pub written: Vec<u8>,
}

impl<'b> Pipe<'b> {
    /// One that gives as much as is asked for.
    pub fn whole(bytes: &'b [u8]) -> Self {
        Self::of([bytes])
    }

    /// One that gives `bytes` as `cuts` says.
    pub fn cut(bytes: &'b [u8], cuts: Cuts) -> Self {
        Self::of(cuts.of(bytes))
    }

    fn of(pieces: impl IntoIterator<Item = &'b [u8]>) -> Self {
        let mut pieces = Vec::from_iter(pieces);
        pieces.reverse();
        Self {
            pieces,
            written: Vec::new(),
        }
    }

    /// What nobody read.
    pub fn rest(self) -> Vec<u8> {
        self.pieces.into_iter().rev().flatten().copied().collect()
    }
}

impl AsyncRead for Pipe<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(piece) = self.pieces.pop() {
            let (now, later) = piece.split_at(piece.len().min(buffer.remaining()));
            buffer.put_slice(now);
            if !later.is_empty() {
                self.pieces.push(later);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.written.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
