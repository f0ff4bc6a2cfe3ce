//! One direction of a call: bytes read as soon as they are there, and passed on as the next hop takes them.
//!
//! Everything that arrived is taken out of h2 at once, and tiny frames are merged: h2 counts the frames that wait, and
//! ends the whole connection when small ones pile up behind one slow reader. Credit for what was read goes back only
//! when the next hop took the bytes, so a slow reader slows its own writer and nobody else, and memory is bounded by
//! the stream's window.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use h2::{RecvStream, SendStream};
use http::HeaderMap;

use crate::windows::Holdings;

/// Frames smaller than this are merged with their neighbours while they wait; larger ones are passed on as they are,
/// uncopied. A frame keeps the whole read buffer alive that it came in, so small ones must not.
const MERGED: usize = 8 * 1024;

/// How the source ended. Only END_STREAM on the wire is an end.
#[derive(Debug)]
pub(crate) enum End {
    Plain,
    Trailers(HeaderMap),
}

/// The next hop is gone. Its other half knows why.
#[derive(Debug)]
pub(crate) struct TargetGone;

#[derive(Debug)]
pub(crate) struct Flow {
    queue: VecDeque<Bytes>,
    /// Merged small frames, behind the queue.
    tail: BytesMut,
    held: usize,
    moved: u64,
    end: Option<End>,
}

impl Flow {
    pub(crate) fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            tail: BytesMut::new(),
            held: 0,
            moved: 0,
            end: None,
        }
    }

    /// Bytes that came in since the beginning.
    pub(crate) fn moved(&self) -> u64 {
        self.moved
    }

    /// Bytes of them that did not go out yet.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// How the source ended, once everything before the end went out.
    pub(crate) fn take_end(&mut self) -> Option<End> {
        if self.held > 0 {
            return None;
        }
        self.end.take()
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
                    self.push(data);
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => {
                    self.end = Some(match std::task::ready!(source.poll_trailers(cx)) {
                        Ok(Some(trailers)) => End::Trailers(trailers),
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
            if self.held == 0 {
                break Poll::Ready(Ok(()));
            }
            target.reserve_capacity(self.held);
            let mut room = target.capacity();
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
            let chunk = self.pop(room);
            passed += chunk.len();
            let last = close && self.held == 0 && matches!(self.end, Some(End::Plain));
            if last {
                self.end = None;
            }
            if target.send_data(chunk, last).is_err() {
                break Poll::Ready(Err(TargetGone));
            }
        };
        if passed > 0 {
            holdings.remove(passed);
            if let Some(source) = source {
                // The stream may be over, and with it its window.
                let _ = source.flow_control().release_capacity(passed);
            }
        }
        result
    }

    /// Forgets what is held; it will not go out.
    pub(crate) fn discard(&mut self, source: Option<&mut RecvStream>, holdings: &Holdings) {
        holdings.remove(self.held);
        if let Some(source) = source {
            // The stream may be over, and with it its window.
            let _ = source.flow_control().release_capacity(self.held);
        }
        self.held = 0;
        self.queue.clear();
        self.tail.clear();
    }

    fn push(&mut self, data: Bytes) {
        self.held += data.len();
        self.moved += data.len() as u64;
        let merge = data.len() < MERGED && (!self.tail.is_empty() || !self.queue.is_empty());
        if merge {
            self.tail.extend_from_slice(&data);
            return;
        }
        if !self.tail.is_empty() {
            self.queue.push_back(self.tail.split().freeze());
        }
        if !data.is_empty() {
            self.queue.push_back(data);
        }
    }

    fn pop(&mut self, most: usize) -> Bytes {
        let chunk = match self.queue.front_mut() {
            Some(front) if front.len() > most => front.split_to(most),
            Some(_) => self.queue.pop_front().unwrap_or_default(),
            None => {
                let n = most.min(self.tail.len());
                self.tail.split_to(n).freeze()
            }
        };
        self.held -= chunk.len();
        chunk
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_and_their_order_survive_any_cut(
            frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..3_000), 0..20),
            takes in proptest::collection::vec(1usize..4_000, 1..60),
        ) {
            let mut flow = Flow::new();
            let mut out = Vec::new();
            let mut takes = takes.into_iter().cycle();
            let sent: Vec<u8> = frames.concat();
            for frame in frames {
                flow.push(Bytes::from(frame));
                let most = takes.next().unwrap();
                out.extend_from_slice(&flow.pop(most));
            }
            while flow.held > 0 {
                let most = takes.next().unwrap();
                let chunk = flow.pop(most);
                prop_assert!(chunk.len() <= most);
                out.extend_from_slice(&chunk);
            }
            prop_assert_eq!(out, sent);
        }
    }

    #[test]
    fn tiny_frames_are_merged() {
        let mut flow = Flow::new();
        for _ in 0..10_000 {
            flow.push(Bytes::from_static(b"tiny"));
        }
        assert_eq!(flow.queue.len(), 1, "the first, and the rest in the tail");
        assert_eq!(flow.pop(usize::MAX).len(), 4);
        assert_eq!(flow.pop(usize::MAX).len(), 39_996);
    }
}
