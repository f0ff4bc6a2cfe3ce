//! The bytes under an HTTP/2 connection, watched for floods.
//!
//! h2 bounds the memory that a peer can take, and not the work: PING, SETTINGS, PRIORITY, WINDOW_UPDATE and unknown
//! frames cost the sender nothing, and may come without end. [`FrameGuard`] looks at nothing but the nine bytes that
//! every frame begins with (`guard/heads.rs`), counts (`guard/allowances.rs`), and ends the connection of a peer that sends
//! too much: it says GOAWAY with ENHANCE_YOUR_CALM and the reason, and reads no more. It allocates nothing and touches
//! no payload.
//!
//! It also ends a connection whose header block does not end: h2 waits for the rest for ever, and so would everything
//! else on that connection.
//!
//! The same guard stands under callers' connections and under lanes, so that a backend's flood ends its own lane.

mod allowances;
mod floods;
mod heads;
#[cfg(test)]
mod tests;
mod turn;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use allowances::Allowances;
use heads::{Heads, kind};

pub(crate) use floods::{Flood, Floods};
pub(crate) use turn::Turn;

/// How long a header block may take from its first pause to its end.
const BLOCK: Duration = Duration::from_secs(10);

/// I/O that reads no more once its peer floods.
#[derive(Debug)]
pub(crate) struct FrameGuard<T> {
    io: T,
    received: Heads,
    sent: Heads,
    allowances: Allowances,
    /// Where the peer begins streams.
    turn: Option<Turn>,
    /// Header blocks that the peer began.
    blocks: u64,
    /// Until when which of them must end; armed once its bytes pause.
    block_ends: Option<(u64, Pin<Box<Sleep>>)>,
    last_stream: u32,
    flood: Option<Flood>,
    floods: Arc<Floods>,
}

impl<T> FrameGuard<T> {
    /// Guards against a caller.
    pub(crate) fn of_caller(io: T, turn: Turn, floods: Arc<Floods>) -> Self {
        Self {
            turn: Some(turn),
            ..Self::new(io, Heads::to_server(), Heads::to_client(), floods)
        }
    }

    /// Guards against a backend.
    pub(crate) fn of_backend(io: T, floods: Arc<Floods>) -> Self {
        Self::new(io, Heads::to_client(), Heads::to_server(), floods)
    }

    fn new(io: T, received: Heads, sent: Heads, floods: Arc<Floods>) -> Self {
        Self {
            io,
            received,
            sent,
            allowances: Allowances::new(),
            turn: None,
            blocks: 0,
            block_ends: None,
            last_stream: 0,
            flood: None,
            floods,
        }
    }

    /// Looks at what came.
    fn look(&mut self, bytes: &[u8]) -> Result<(), Flood> {
        let Self {
            received,
            allowances,
            turn,
            blocks,
            last_stream,
            ..
        } = self;
        received.pass(bytes, |head| {
            if head.kind == kind::HEADERS {
                *blocks += 1;
                *last_stream = head.stream.max(*last_stream);
                turn.iter().for_each(Turn::begun);
            }
            allowances.received(head)
        })
    }

    /// Looks at what went out.
    fn note_sent(&mut self, bytes: &[u8]) {
        let Self {
            sent, allowances, ..
        } = self;
        let Ok(()) = sent.pass(bytes, |head| {
            allowances.sent(head);
            Ok::<_, std::convert::Infallible>(())
        });
    }

    /// Ready when a header block does not end. Called when no byte is there.
    fn poll_block(&mut self, cx: &mut Context<'_>) -> Poll<Flood> {
        if !self.received.is_in_block() {
            self.block_ends = None;
            return Poll::Pending;
        }
        let block = self.blocks;
        let ends = match self.block_ends.take() {
            Some((of, ends)) if of == block => ends,
            _ => Box::pin(sleep(BLOCK)),
        };
        let (_, ends) = self.block_ends.insert((block, ends));
        ends.as_mut().poll(cx).map(|()| Flood::SlowHeaders)
    }
}

impl<T: AsyncWrite + Unpin> FrameGuard<T> {
    /// Reads no more, and says so if the peer can hear it.
    fn end(&mut self, cx: &mut Context<'_>, flood: Flood) -> io::Error {
        if self.flood.replace(flood).is_none() {
            self.floods.seen(flood);
            if self.sent.is_between_frames() {
                let words = go_away(self.last_stream, flood);
                // Whoever does not read, or went, does not hear it.
                let _ = Pin::new(&mut self.io).poll_write(cx, &words);
                let _ = Pin::new(&mut self.io).poll_flush(cx);
            }
        }
        io::Error::other(flood)
    }
}

/// GOAWAY, ENHANCE_YOUR_CALM, and why.
fn go_away(last_stream: u32, flood: Flood) -> Vec<u8> {
    let reason = format!("mux: {flood}");
    let mut frame = vec![0, 0, 8, kind::GOAWAY, 0, 0, 0, 0, 0];
    frame[2] += u8::try_from(reason.len()).expect("reasons are short");
    frame.extend(last_stream.to_be_bytes());
    frame.extend(u32::from(h2::Reason::ENHANCE_YOUR_CALM).to_be_bytes());
    frame.extend(reason.as_bytes());
    frame
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for FrameGuard<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(flood) = this.flood {
            return Poll::Ready(Err(io::Error::other(flood)));
        }
        if this.turn.as_ref().is_some_and(Turn::is_full) {
            // Whoever takes the streams comes back.
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let flood = match Pin::new(&mut this.io).poll_read(cx, buffer) {
            Poll::Ready(Ok(())) => this.look(&buffer.filled()[before..]).err(),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => Some(ready!(this.poll_block(cx))),
        };
        let Some(flood) = flood else {
            return Poll::Ready(Ok(()));
        };
        buffer.set_filled(before);
        Poll::Ready(Err(this.end(cx, flood)))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for FrameGuard<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, bytes))?;
        self.note_sent(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, slices))?;
        let mut left = written;
        for slice in slices {
            let of_slice = left.min(slice.len());
            self.note_sent(&slice[..of_slice]);
            left -= of_slice;
        }
        Poll::Ready(Ok(written))
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
