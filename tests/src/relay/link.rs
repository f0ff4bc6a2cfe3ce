//! What a link does with the bytes of one direction.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// What a late link has under way at most: 64 MiB in pieces of 16 KiB.
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
    fn reads_at_a_time(self, most: usize) -> usize {
        match self {
            Self::Slow(rate) => (rate as usize / 20).clamp(1, most),
            Self::Open | Self::Held | Self::Late { .. } | Self::Garbled => most,
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

/// Passes bytes on until one end is gone.
pub(super) async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut link: watch::Receiver<Link>,
) {
    let mut buffer = vec![0; 16 * 1024];
    // What was read, and when it is to go on. Only a late link has more than one piece under way.
    let mut under_way = VecDeque::<(Instant, Vec<u8>)>::new();
    loop {
        let now = *link.borrow_and_update();
        let most = now.reads_at_a_time(buffer.len());
        let reads = under_way.is_empty()
            || matches!(now, Link::Late { .. }) && under_way.len() < LATE_PIECES;
        let due = under_way.front().map(|(due, _)| *due);
        tokio::select! {
            read = from.read(&mut buffer[..most]), if reads => {
                let Ok(read) = read else {
                    return;
                };
                let last = under_way.back().map(|(due, _)| *due);
                let due = (Instant::now() + now.takes(read)).max(last.unwrap_or_else(Instant::now));
                under_way.push_back((due, buffer[..read].to_vec()));
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() && now != Link::Held => {
                let (_, mut bytes) = under_way.pop_front().expect("it is due");
                if now == Link::Garbled {
                    turn_a_bit_over(&mut bytes);
                }
                if bytes.is_empty() {
                    // Dropped, it would be reset.
                    let _ = to.shutdown().await;
                    return std::future::pending().await;
                }
                if to.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            changed = link.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

fn turn_a_bit_over(bytes: &mut [u8]) {
    if !bytes.is_empty() {
        let bit = rand::random_range(0..8 * bytes.len());
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}
