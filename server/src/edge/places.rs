//! Places for calls, given in turns to those who wait: [`Queue`] with tasks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::queue::{Full, Queue, Ticket};

/// Which caller connection asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct CallerId(pub(crate) u64);

type Turns = Queue<CallerId, oneshot::Sender<Place>>;

/// A bounded number of places.
#[derive(Debug)]
pub(crate) struct Places {
    total: usize,
    queue: Mutex<Turns>,
}

impl Places {
    /// So many places, and a queue for so many who wait for one.
    pub(crate) fn new(total: usize, most_waiting: usize) -> Arc<Self> {
        Arc::new(Self {
            total,
            queue: Mutex::new(Queue::new(total, most_waiting)),
        })
    }

    /// Places that somebody has.
    pub(crate) fn taken(&self) -> usize {
        self.total - self.lock().free()
    }

    /// How many wait for one.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting()
    }

    /// A place, if there is one.
    pub(crate) fn take_at_once(self: &Arc<Self>, caller: CallerId) -> Option<Place> {
        let is_free = self.lock().try_take();
        is_free.then(|| self.place(caller))
    }

    /// A place, at once or after a wait; `None` when too many wait.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: a turn is lost, and a place that was given meanwhile goes to the next.
    pub(crate) async fn take(self: &Arc<Self>, caller: CallerId) -> Option<Place> {
        let mut waiting = match self.ask(caller) {
            Ok(Asked::Given(place)) => return Some(place),
            Ok(Asked::Waits(waiting)) => waiting,
            Err(Full) => return None,
        };
        // An error is that of one who was pushed out.
        (&mut waiting.given).await.ok()
    }

    fn ask(self: &Arc<Self>, caller: CallerId) -> Result<Asked, Full> {
        let mut queue = self.lock();
        if queue.try_take() {
            drop(queue);
            return Ok(Asked::Given(self.place(caller)));
        }
        let (sender, given) = oneshot::channel();
        let (ticket, pushed_out) = queue.wait(caller, sender)?;
        drop(queue);
        // Without the lock: its task is woken.
        drop(pushed_out);
        Ok(Asked::Waits(Waiting {
            places: Arc::clone(self),
            caller,
            ticket,
            given,
        }))
    }

    fn place(self: &Arc<Self>, caller: CallerId) -> Place {
        Place {
            places: Arc::clone(self),
            caller,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Turns> {
        // A panic while the lock is held leaves a queue that is still whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Asked {
    Given(Place),
    Waits(Waiting),
}

/// One who waits. Dropped, it leaves the queue; and a place that it was given by then is dropped with it.
struct Waiting {
    places: Arc<Places>,
    caller: CallerId,
    ticket: Ticket,
    given: oneshot::Receiver<Place>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.places.lock().leave(self.caller, self.ticket);
    }
}

/// A place. Dropped, it goes to the next who waits.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    caller: CallerId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let next = self.places.lock().give_back(self.caller);
        if let Some((caller, waiter)) = next {
            // One who left this moment does not take it: then it is dropped here, and goes to the one after.
            drop(waiter.send(self.places.place(caller)));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;
    use tokio::task::JoinSet;
    use tokio::time::{Duration, timeout};

    use super::*;

    const A: CallerId = CallerId(1);
    const B: CallerId = CallerId(2);

    #[tokio::test(start_paused = true)]
    async fn one_who_leaves_after_it_was_given_a_place_passes_it_on() {
        let places = Places::new(1, 10);
        let held = places.take(A).await;
        let mut first = Box::pin(places.take(A));
        let mut second = Box::pin(places.take(A));
        assert!(futures::poll!(first.as_mut()).is_pending());
        assert!(futures::poll!(second.as_mut()).is_pending());
        drop(held);
        drop(first);
        assert!(second.await.is_some());
        assert_eq!(places.taken(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_was_pushed_out_is_told() {
        let places = Places::new(1, 2);
        let _held = places.take(A).await;
        let mut of_a: Vec<_> = (0..2).map(|_| Box::pin(places.take(A))).collect();
        for waiting in &mut of_a {
            assert!(futures::poll!(waiting.as_mut()).is_pending());
        }
        assert!(places.take(A).await.is_none());
        let mut of_b = Box::pin(places.take(B));
        assert!(futures::poll!(of_b.as_mut()).is_pending());
        assert!(of_a.pop().unwrap().await.is_none());
        assert!(futures::poll!(of_a[0].as_mut()).is_pending());
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_gives_up_makes_room_in_the_queue() {
        let places = Places::new(1, 1);
        let held = places.take(A).await;
        let mut gives_up = Box::pin(places.take(A));
        assert!(futures::poll!(gives_up.as_mut()).is_pending());
        assert!(places.take(A).await.is_none());
        drop(gives_up);
        let mut next = Box::pin(places.take(A));
        assert!(futures::poll!(next.as_mut()).is_pending());
        drop(held);
        assert!(next.await.is_some());
    }

    /// Over real threads, with waits that are given up at every moment.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_place_is_lost_between_those_who_come_and_go() {
        const PLACES: usize = 3;
        let places = Places::new(PLACES, 64);
        let mut tasks = JoinSet::new();
        for n in 0..16u64 {
            let places = Arc::clone(&places);
            tasks.spawn(async move {
                for round in 0..2_000u64 {
                    let patience = Duration::from_micros((n * 7 + round) % 50);
                    if let Ok(Some(place)) = timeout(patience, places.take(CallerId(n % 4))).await {
                        tokio::task::yield_now().await;
                        drop(place);
                    }
                }
            });
        }
        tasks.join_all().await;
        assert_eq!(places.taken(), 0);
        let all = join_all((0..PLACES).map(|_| places.take(A))).await;
        assert!(all.iter().all(Option::is_some));
    }
}
