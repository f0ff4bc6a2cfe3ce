//! What a link does with the bytes of one direction.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// What is passed on at a time.
pub(super) const PIECE: usize = 16 * 1024;
/// What a late link has under way at most: 64 MiB.
const LATE_PIECES: usize = 4096;

/// What a link does with the bytes of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Passes them on.
    Open,
    /// Passes nothing on, and says nothing: a black hole.
    Held,
    /// Passes on so many bytes a second.
    Slow(u32),
    /// Passes on what comes after `by`, and up to `jitter` more, in its order.
    Late {
        /// At least.
        by: Duration,
        /// Besides.
        jitter: Duration,
    },
    /// Turns one bit over in each piece that it passes on.
    Garbled,
}

impl Link {
    fn reads_at_a_time(self) -> usize {
        match self {
            Self::Slow(rate) => (rate as usize / 20).clamp(1, PIECE),
            Self::Open | Self::Held | Self::Late { .. } | Self::Garbled => PIECE,
        }
    }

    /// Only a late link has more than one piece under way.
    fn takes_more_than(self, under_way: &VecDeque<Piece>) -> bool {
        match under_way.back() {
            None => true,
            Some(piece) if piece.is_last() => false,
            Some(_) => matches!(self, Self::Late { .. }) && under_way.len() < LATE_PIECES,
        }
    }

    /// What so many bytes are under way for.
    fn takes(self, bytes: usize) -> Duration {
        match self {
            Self::Open | Self::Held | Self::Garbled => Duration::ZERO,
            Self::Slow(rate) => Duration::from_secs_f64(bytes as f64 / f64::from(rate)),
            Self::Late { by, jitter } => by + jitter.mul_f64(rand::random()),
        }
    }
}

/// Passes bytes on, and then their end. An error is a reset, of either end.
pub(super) async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut link: watch::Receiver<Link>,
) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    let mut under_way = VecDeque::<Piece>::new();
    loop {
        let now = *link.borrow_and_update();
        let (most, more) = (now.reads_at_a_time(), now.takes_more_than(&under_way));
        let due = under_way.front().map(|piece| piece.due);
        tokio::select! {
            read = from.read(&mut buffer[..most]), if more => {
                let read = read.map(|read| buffer[..read].to_vec());
                let piece = Piece::new(read, now, under_way.back());
                under_way.push_back(piece);
            }
            () = until_due(due), if due.is_some() && now != Link::Held => {
                let mut bytes = under_way.pop_front().expect("it is due").read?;
                if bytes.is_empty() {
                    return to.shutdown().await;
                }
                if now == Link::Garbled {
                    turn_a_bit_over(&mut bytes);
                }
                to.write_all(&bytes).await?;
            }
            changed = link.changed() => changed.map_err(io::Error::other)?,
        }
    }
}

/// What was read, and when it is to go on.
#[derive(Debug)]
struct Piece {
    due: Instant,
    /// No bytes are the end, and an error is a reset.
    read: io::Result<Vec<u8>>,
}

impl Piece {
    /// One that was read from a link after another.
    fn new(read: io::Result<Vec<u8>>, link: Link, before: Option<&Self>) -> Self {
        let due = Instant::now() + link.takes(read.as_ref().map_or(0, Vec::len));
        let due = before.map_or(due, |before| due.max(before.due));
        Self { due, read }
    }

    fn is_last(&self) -> bool {
        !matches!(&self.read, Ok(bytes) if !bytes.is_empty())
    }
}

/// Nobody sleeps where it is time already: a timer takes a millisecond at least.
async fn until_due(due: Option<Instant>) {
    if let Some(due) = due.filter(|due| *due > Instant::now()) {
        sleep_until(due).await;
    }
}

fn turn_a_bit_over(bytes: &mut [u8]) {
    let bit = rand::random_range(0..8 * bytes.len());
    bytes[bit / 8] ^= 1 << (bit % 8);
}
