//! Floods of frames that cost their sender nothing: yamux bounds the bytes that a peer may send, and not the frames.
//!
//! Every frame is an allocation and an entry in a queue, however small: 256 KiB in frames of one byte take 17 MB. And
//! PING and WINDOW_UPDATE may come without end. So both kinds have a burst and a rate that no peer needs:
//!
//! * *Tiny* frames hold fewer bytes than the smallest frame of HTTP/2. What carries HTTP/2 or our own messages sends
//!   next to none of them.
//! * Frames *without bytes* open, close and pace streams, so those that carry bytes earn more of them, in both
//!   directions: a window is given back in halves of at least 128 KiB.

use std::io;

use crate::{Allowance, FrameWalk};

const HEADER: usize = 12;
const DATA: u8 = 0;
/// Bytes below which a frame is tiny: the header of an HTTP/2 frame.
const TINY: u32 = 9;
/// Bytes sent that earn one frame without bytes.
const SENT: usize = 16 * 1024;

/// Why a tunnel is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Flood {
    #[error("flood of tiny frames")]
    Tiny,
    #[error("flood of frames without bytes")]
    Empty,
}

/// Counts the frames of a tunnel.
pub(crate) struct FloodGuard {
    walk: FrameWalk<HEADER>,
    tiny: Allowance,
    empty: Allowance,
    /// Bytes sent that earned nothing yet.
    sent: usize,
}

impl FloodGuard {
    pub(crate) fn new() -> Self {
        Self {
            walk: FrameWalk::after(0),
            // They may pile up unread, and take a hundred bytes each.
            tiny: Allowance::new(50_000, 1_000),
            empty: Allowance::new(10_000, 1_000),
            sent: 0,
        }
    }

    /// Bytes came; an error when there are too many frames among them.
    pub(crate) fn received(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Self {
            walk, tiny, empty, ..
        } = self;
        let passed = walk.pass(bytes, |[_, kind, _, _, _, _, _, _, a, b, c, d]| {
            let length = match kind {
                DATA => u32::from_be_bytes([a, b, c, d]),
                // For other kinds it is a number, and not of bytes.
                _ => 0,
            };
            let (allowance, flood) = match length {
                0 => (&mut *empty, Flood::Empty),
                1..TINY => (&mut *tiny, Flood::Tiny),
                _ => {
                    empty.earn(1);
                    return Ok(length as usize);
                }
            };
            if allowance.take() {
                Ok(length as usize)
            } else {
                Err(flood)
            }
        });
        passed.map_err(io::Error::other)
    }

    /// So many bytes were sent.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
        self.empty.earn((self.sent / SENT) as u64);
        self.sent %= SENT;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW_UPDATE: u8 = 1;
    const PING: u8 = 2;

    fn frame(kind: u8, length: u32) -> Vec<u8> {
        let mut frame = vec![0, kind, 0, 0, 0, 0, 0, 1];
        frame.extend(length.to_be_bytes());
        if kind == DATA {
            frame.resize(HEADER + length as usize, 0);
        }
        frame
    }

    /// How many of `frame` pass, up to a hundred thousand.
    fn pass(guard: &mut FloodGuard, frame: &[u8]) -> usize {
        (0..100_000)
            .take_while(|_| guard.received(frame).is_ok())
            .count()
    }

    #[tokio::test(start_paused = true)]
    async fn floods_end() {
        for (frame, most) in [
            (frame(DATA, 0), 10_000),
            (frame(DATA, 1), 50_000),
            (frame(DATA, 8), 50_000),
            (frame(WINDOW_UPDATE, 5), 10_000),
            (frame(PING, 1 << 30), 10_000),
        ] {
            assert_eq!(pass(&mut FloodGuard::new(), &frame), most, "{frame:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn frames_with_bytes_have_no_limit_and_earn_some_without() {
        let guard = &mut FloodGuard::new();
        assert_eq!(pass(guard, &frame(DATA, 9)), 100_000);
        assert_eq!(pass(guard, &frame(WINDOW_UPDATE, 9)), 100_000);
        let guard = &mut FloodGuard::new();
        for _ in 0..1_000_000 {
            guard.sent(128 * 1024);
            guard.received(&frame(WINDOW_UPDATE, 128 * 1024)).unwrap();
        }
    }
}
