//! Notices that a caller takes nothing of what waits for it.
//!
//! It holds a window of its own, one of the lane's and what the backend keeps for the answer, for as long as it likes:
//! its connection is alive, so nothing else ends. The time is long, because a caller may well pause.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// How long bytes may wait for a caller that takes none, at least.
const STALLED: Duration = Duration::from_secs(300);
/// Looks in that time. The timer is made when bytes first wait and looked at when it is due, so that a call that flows
/// pays nothing for it.
const LOOKS: u32 = 10;

#[derive(Debug, Default)]
pub(super) struct Stall {
    timer: Option<Pin<Box<Sleep>>>,
    /// What had been taken when somebody looked last, and for how many looks that has been all.
    taken: u64,
    looks: u32,
}

impl Stall {
    /// Bytes wait, and so many were taken before them. Ready when that did not change for too long.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, taken: u64) -> Poll<()> {
        let between = STALLED / LOOKS;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(between)));
        while timer.as_mut().poll(cx).is_ready() {
            self.looks = if taken == self.taken {
                self.looks + 1
            } else {
                0
            };
            if self.looks == LOOKS {
                return Poll::Ready(());
            }
            self.taken = taken;
            timer.as_mut().reset(Instant::now() + between);
        }
        Poll::Pending
    }

    /// Nothing waits.
    pub(super) fn over(&mut self) {
        self.looks = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_noticed() {
        let mut stall = Stall::default();
        let started = Instant::now();
        poll_fn(|cx| stall.poll(cx, 7)).await;
        let took = started.elapsed();
        assert!(took >= STALLED, "{took:?}");
        assert!(took <= STALLED + STALLED / LOOKS * 2, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_a_byte_now_and_then_is_not() {
        let mut stall = Stall::default();
        for taken in 1..20 {
            let noticed = timeout(
                STALLED - STALLED / LOOKS,
                poll_fn(|cx| stall.poll(cx, taken)),
            );
            assert!(noticed.await.is_err(), "after {taken}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_in_which_nothing_waits_does_not_count() {
        let mut stall = Stall::default();
        for _ in 0..10 {
            let noticed = timeout(STALLED - STALLED / LOOKS, poll_fn(|cx| stall.poll(cx, 7)));
            assert!(noticed.await.is_err());
            stall.over();
        }
    }
}
