//! Bytes in their order, in pieces.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Pieces smaller than this are merged with their neighbours while they wait; larger ones are passed on as they are,
/// uncopied. A piece keeps the whole read buffer alive that it came in, so small ones must not.
const MERGED: usize = 8 * 1024;

#[derive(Debug, Default)]
pub(super) struct Chunks {
    queue: VecDeque<Bytes>,
    /// Merged small pieces, behind the queue.
    tail: BytesMut,
    len: usize,
}

impl Chunks {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a piece at the end.
    pub(super) fn push(&mut self, data: Bytes) {
        self.len += data.len();
        if data.len() < MERGED && self.len > data.len() {
            self.tail.extend_from_slice(&data);
            return;
        }
        self.seal();
        if !data.is_empty() {
            self.append(data);
        }
    }

    /// Takes a piece of at most `most` bytes from the front.
    pub(super) fn pop(&mut self, most: usize) -> Bytes {
        let chunk = match self.queue.front_mut() {
            Some(front) if front.len() > most => front.split_to(most),
            Some(_) => self.queue.pop_front().unwrap_or_default(),
            None => {
                let n = most.min(self.tail.len());
                self.tail.split_to(n).freeze()
            }
        };
        self.len -= chunk.len();
        chunk
    }

    /// Puts `first` before everything.
    pub(super) fn prepend(&mut self, mut first: Self) {
        first.seal();
        self.len += first.len;
        while let Some(chunk) = first.queue.pop_back() {
            self.queue.push_front(chunk);
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            let merged = self.tail.split().freeze();
            self.append(merged);
        }
    }

    fn append(&mut self, chunk: Bytes) {
        if self.queue.is_empty() {
            // Mostly the only one: an open call has room for what it moved as long as it lasts.
            self.queue.reserve_exact(1);
        }
        self.queue.push_back(chunk);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drain(mut chunks: Chunks, takes: &[usize]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut takes = takes.iter().cycle();
        while chunks.len() > 0 {
            let most = *takes.next().unwrap();
            let chunk = chunks.pop(most);
            assert!(chunk.len() <= most && !chunk.is_empty());
            out.extend_from_slice(&chunk);
        }
        out
    }

    fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
        proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..3_000), 0..20)
    }

    proptest! {
        #[test]
        fn bytes_and_their_order_survive_any_cut(
            pieces in pieces(),
            takes in proptest::collection::vec(1usize..4_000, 1..60),
        ) {
            let mut chunks = Chunks::default();
            let mut out = Vec::new();
            let sent: Vec<u8> = pieces.concat();
            for (piece, most) in pieces.into_iter().zip(takes.iter().cycle()) {
                chunks.push(Bytes::from(piece));
                out.extend_from_slice(&chunks.pop(*most));
            }
            out.extend(drain(chunks, &takes));
            prop_assert_eq!(out, sent);
        }

        #[test]
        fn what_is_put_before_comes_first(first in pieces(), then in pieces(), most in 1usize..4_000) {
            let sent = [first.concat(), then.concat()].concat();
            let [mut front, mut back] = [Chunks::default(), Chunks::default()];
            first.into_iter().for_each(|piece| front.push(Bytes::from(piece)));
            then.into_iter().for_each(|piece| back.push(Bytes::from(piece)));
            back.prepend(front);
            prop_assert_eq!(back.len(), sent.len());
            prop_assert_eq!(drain(back, &[most]), sent);
        }
    }

    #[test]
    fn tiny_pieces_are_merged() {
        let mut chunks = Chunks::default();
        for _ in 0..10_000 {
            chunks.push(Bytes::from_static(b"tiny"));
        }
        assert_eq!(chunks.queue.len(), 1, "the first, and the rest in the tail");
        assert_eq!(chunks.pop(usize::MAX).len(), 4);
        assert_eq!(chunks.pop(usize::MAX).len(), 39_996);
    }
}
