//! One direction of a call: bytes read as soon as they are there, and passed on as the next hop takes them.
//!
//! Everything that arrived is taken out of h2 at once, and tiny frames are merged: h2 counts the frames that wait, and
//! ends the whole connection when small ones pile up behind one slow reader. Credit for what was read goes back only
//! when the next hop took the bytes, so a slow reader slows its own writer and nobody else, and memory is bounded by
//! the stream's window, and by what of a request goes ahead of its capacity.
//!
//! A flow can keep the first bytes that it passed on, to begin anew with another next hop. What is sent again then has
//! no credit to give back: it did that when it went out for the first time.

mod chunks;
mod kept;

use std::task::{Context, Poll};

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http::HeaderMap;

use crate::windows::Holdings;
use chunks::Chunks;
use kept::Kept;

/// How the source ended. Only END_STREAM on the wire is an end.
#[derive(Debug, Clone)]
pub(crate) enum End {
    Plain,
    /// Boxed: a call has room for four ends, and mostly none.
    Trailers(Box<HeaderMap>),
}

/// The next hop is gone. Its other half knows why.
#[derive(Debug)]
pub(crate) struct TargetGone;

/// So much of a request is handed to h2 together with its headers: a stream has no capacity before these went out, and a small
/// call would go in two pieces, with a round over all tasks between them. h2 keeps it where the window is smaller.
const AHEAD: usize = 16 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Flow {
    held: Chunks,
    /// Bytes at the front of these that went out before, and have no credit left to give.
    again: usize,
    moved: u64,
    end: Option<End>,
    kept: Option<Kept>,
    /// Bytes that still go to the next hop before it has capacity for them.
    ahead: usize,
}

impl Flow {
    /// That of a request, which can begin anew while no more than `limit` bytes went out.
    pub(crate) fn of_request(limit: usize) -> Self {
        Self {
            kept: Some(Kept::new(limit)),
            ahead: AHEAD,
            ..Self::default()
        }
    }

    /// Will not begin anew.
    pub(crate) fn forget(&mut self) {
        self.kept = None;
    }

    /// Begins anew, this once: what went out goes out again. False when more of it did than is kept.
    pub(crate) fn rewind(&mut self) -> bool {
        let Some((chunks, end)) = self.kept.take().map(Kept::into_parts) else {
            return false;
        };
        self.again = chunks.len();
        self.ahead = AHEAD;
        self.held.prepend(chunks);
        self.end = self.end.take().or(end);
        true
    }

    /// Bytes that came in since the beginning.
    pub(crate) fn moved(&self) -> u64 {
        self.moved
    }

    /// Bytes of them that did not go out yet.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// How the source ended, once everything before the end went out.
    pub(crate) fn take_end(&mut self) -> Option<End> {
        if self.held.len() > 0 {
            return None;
        }
        let end = self.end.take()?;
        if let Some(kept) = &mut self.kept {
            kept.keep_end(&end);
        }
        Some(end)
    }

    /// Whether nothing is left to pass on, now and later, but a plain end.
    pub(crate) fn is_over(&self, source: &RecvStream) -> bool {
        self.held.len() == 0
            && match self.end {
                Some(End::Plain) => true,
                Some(End::Trailers(_)) => false,
                None => source.is_end_stream(),
            }
    }

    /// Takes everything that `source` has. Ready when there will be no more, with an error if it did not end well.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut RecvStream,
        holdings: &Holdings,
    ) -> Poll<Result<(), h2::Error>> {
        while self.end.is_none() {
            match source.poll_data(cx) {
                Poll::Ready(Some(Ok(data))) => {
                    holdings.add(data.len());
                    self.moved += data.len() as u64;
                    self.held.push(data);
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => {
                    self.end = Some(match std::task::ready!(source.poll_trailers(cx)) {
                        Ok(Some(trailers)) => End::Trailers(Box::new(trailers)),
                        Ok(None) => End::Plain,
                        Err(error) => return Poll::Ready(Err(error)),
                    });
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Passes on what `target` takes, and gives `source` the credit for it. Ready when everything went out.
    ///
    /// A plain end goes with the last bytes if `close` says so. An empty frame is never sent for its own sake: some
    /// peers allow only so many of them.
    pub(crate) fn poll_pass(
        &mut self,
        cx: &mut Context<'_>,
        target: &mut SendStream<Bytes>,
        source: Option<&mut RecvStream>,
        holdings: &Holdings,
        close: bool,
    ) -> Poll<Result<(), TargetGone>> {
        let mut passed = 0;
        let result = loop {
            if self.held.len() == 0 {
                break Poll::Ready(Ok(()));
            }
            target.reserve_capacity(self.held.len());
            let mut room = target.capacity().max(self.ahead);
            if room == 0 {
                match target.poll_capacity(cx) {
                    Poll::Ready(Some(Ok(n))) => room = n,
                    Poll::Ready(Some(Err(_)) | None) => break Poll::Ready(Err(TargetGone)),
                    Poll::Pending => break Poll::Pending,
                }
            }
            if room == 0 {
                continue;
            }
            let chunk = self.held.pop(room);
            passed += chunk.len();
            self.ahead = self.ahead.saturating_sub(chunk.len());
            if self.kept.as_mut().is_some_and(|kept| !kept.keep(&chunk)) {
                self.kept = None;
            }
            let last = close && matches!(self.end, Some(End::Plain)) && self.take_end().is_some();
            if target.send_data(chunk, last).is_err() {
                break Poll::Ready(Err(TargetGone));
            }
        };
        self.credit(passed, source, holdings);
        result
    }

    /// Forgets what is held; it will not go out.
    pub(crate) fn discard(&mut self, source: Option<&mut RecvStream>, holdings: &Holdings) {
        self.credit(self.held.len(), source, holdings);
        self.held.clear();
    }

    /// Gives back the credit for bytes that left the front, where they still have it.
    fn credit(&mut self, bytes: usize, source: Option<&mut RecvStream>, holdings: &Holdings) {
        let again = bytes.min(self.again);
        self.again -= again;
        let bytes = bytes - again;
        if bytes == 0 {
            return;
        }
        holdings.remove(bytes);
        if let Some(source) = source {
            // The stream may be over, and with it its window.
            let _ = source.flow_control().release_capacity(bytes);
        }
    }
}
