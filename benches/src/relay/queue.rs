//! What is on a line.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};

use tokio::time::Instant;

/// Bytes on a line whose end does not take them. A line of 100 MB/s and 50 ms carries 2.5 MB each way.
const MOST: usize = 16 * 1024 * 1024;

/// Pieces, each with when it is due. One without bytes is the last.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    pieces: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    closed: bool,
}

impl Queue {
    /// Waits until there is room; says whether anybody takes it.
    pub(super) fn push(&self, due: Instant, piece: Vec<u8>) -> bool {
        let full = |state: &mut State| state.bytes >= MOST && !state.closed;
        let state = self.changed.wait_while(self.lock(), full);
        let mut state = state.expect("a queue does not panic");
        state.bytes += piece.len();
        state.pieces.push_back((due, piece));
        self.changed.notify_all();
        !state.closed
    }

    /// Waits for the next one.
    pub(super) fn pop(&self) -> (Instant, Vec<u8>) {
        let empty = |state: &mut State| state.pieces.is_empty();
        let state = self.changed.wait_while(self.lock(), empty);
        let mut state = state.expect("a queue does not panic");
        let piece = state.pieces.pop_front().expect("it is not empty");
        if state.bytes >= MOST {
            self.changed.notify_all();
        }
        state.bytes -= piece.1.len();
        piece
    }

    /// Nobody takes anything any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a queue does not panic")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_in_their_order() {
        let (queue, now) = (Queue::default(), Instant::now());
        assert!(queue.push(now, vec![1]));
        assert!(queue.push(now, vec![2]));
        assert_eq!([queue.pop().1, queue.pop().1], [[1], [2]]);
    }

    #[test]
    fn a_closed_queue_lets_nobody_wait() {
        let (queue, now) = (Queue::default(), Instant::now());
        assert!(queue.push(now, vec![0; MOST]));
        queue.close();
        assert!(!queue.push(now, vec![1]));
    }
}
