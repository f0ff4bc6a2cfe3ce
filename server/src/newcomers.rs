//! Those who came and did not show yet that they belong here: a bounded number of seats.
//!
//! Whoever comes needs a seat until its handshake is over. With all seats taken the next one waits in the kernel's
//! queue, which is where a whole fleet that comes back at once is best kept. But somebody who only sits there must not
//! keep the others out: who sat longest loses its seat to the next, once it had time enough for an honest handshake.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// What a seat is good for however many wait: a handshake takes a few round trips.
const GRACE: Duration = Duration::from_secs(1);

/// The seats of one listener.
#[derive(Debug)]
pub(crate) struct Newcomers {
    most: usize,
    /// Who sits, the longest first.
    seated: Mutex<VecDeque<Seated>>,
    freed: Notify,
}

#[derive(Debug, Clone)]
struct Seated {
    since: Instant,
    leave: Arc<CancellationToken>,
}

impl Newcomers {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            seated: Mutex::default(),
            freed: Notify::new(),
        })
    }

    /// A seat for the next newcomer.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub(crate) async fn seat(self: &Arc<Self>) -> Seat {
        loop {
            let longest = match self.sit() {
                Ok(seat) => return seat,
                Err(longest) => longest,
            };
            tokio::select! {
                biased;
                () = self.freed.notified() => {}
                () = sleep_until(longest.since + GRACE) => {
                    if self.stand_up(&longest.leave) {
                        longest.leave.cancel();
                    }
                }
            }
        }
    }

    /// A seat, or who sits longest if every one is taken.
    fn sit(self: &Arc<Self>) -> Result<Seat, Seated> {
        let mut seated = self.lock();
        if seated.len() >= self.most
            && let Some(longest) = seated.front()
        {
            return Err(longest.clone());
        }
        let leave = Arc::<CancellationToken>::default();
        seated.push_back(Seated {
            since: Instant::now(),
            leave: Arc::clone(&leave),
        });
        Ok(Seat {
            newcomers: Arc::clone(self),
            leave,
        })
    }

    /// Whether `who` sat until now.
    fn stand_up(&self, who: &Arc<CancellationToken>) -> bool {
        let mut seated = self.lock();
        let before = seated.len();
        seated.retain(|other| !Arc::ptr_eq(&other.leave, who));
        seated.len() < before
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Seated>> {
        // A panic while the lock is held leaves a list that is still whole.
        self.seated.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A newcomer's seat.
#[derive(Debug)]
pub(crate) struct Seat {
    newcomers: Arc<Newcomers>,
    leave: Arc<CancellationToken>,
}

impl Seat {
    /// Runs the handshake of who sits here; `None` if the seat was lost before.
    pub(crate) async fn shake_hands<T>(&self, handshake: impl Future<Output = T>) -> Option<T> {
        self.leave.run_until_cancelled(handshake).await
    }

    /// Frees it before its handshake is over, which may then take its time: who sat here showed that it belongs here.
    pub(crate) fn free(&self) {
        if self.newcomers.stand_up(&self.leave) {
            self.newcomers.freed.notify_one();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.free();
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_free_seat_is_had_at_once_and_one_that_comes_free_too() {
        let newcomers = Newcomers::new(2);
        let first = newcomers.seat().await;
        let _second = newcomers.seat().await;
        let mut third = Box::pin(newcomers.seat());
        assert!(futures::poll!(third.as_mut()).is_pending());
        assert_eq!(first.shake_hands(ready(1)).await, Some(1));
        drop(first);
        let start = Instant::now();
        third.await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn who_only_sits_there_loses_its_seat_to_the_next() {
        let newcomers = Newcomers::new(2);
        let idle = newcomers.seat().await;
        let start = Instant::now();
        tokio::time::advance(GRACE / 2).await;
        let other = newcomers.seat().await;
        let both = async { tokio::join!(idle.shake_hands(pending::<()>()), newcomers.seat()) };
        let (gone, next) = timeout(10 * GRACE, both).await.unwrap();
        assert_eq!(gone, None);
        assert!(start.elapsed() >= GRACE, "{:?}", start.elapsed());
        assert!(!other.leave.is_cancelled(), "it had no time yet");
        drop(next);
        assert_eq!(newcomers.lock().len(), 1);
    }

    /// However long the rest of its handshake takes, and however many come.
    #[tokio::test(start_paused = true)]
    async fn who_belongs_here_keeps_nobody_out_and_is_not_put_out() {
        let newcomers = Newcomers::new(1);
        let belongs = newcomers.seat().await;
        let slow = belongs.shake_hands(async {
            belongs.free();
            tokio::time::sleep(10 * GRACE).await;
        });
        let others = async {
            let start = Instant::now();
            let next = newcomers.seat().await;
            assert_eq!(start.elapsed(), Duration::ZERO);
            // Who sits there makes room, and is another.
            let _another = newcomers.seat().await;
            assert!(next.leave.is_cancelled());
        };
        assert_eq!(tokio::join!(slow, others), (Some(()), ()));
    }
}
