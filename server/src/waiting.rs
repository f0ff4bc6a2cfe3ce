//! Waiting for an edge that is away: a call to one that was here lately waits a while for it to come back, and does not
//! fail at once.
//!
//! The registry tells who comes and who leaves; calls look at the registry for themselves, and wait here for a reason
//! to look again. Nobody waits for an edge that was never here: a mistyped name is told at once. Only right after a
//! start that cannot be known, so then every edge counts as away.

mod memory;
mod options;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use grpc_multiplexer_tunnel::{ClientId, Labels};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tracing::debug;

use memory::Memory;
pub use options::WaitSettings;

/// Why there is no edge for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absence {
    /// No edge of that id was here lately.
    Unknown,
    /// It was, and did not come back in time.
    Away,
    /// It was, and as many calls wait for it as may.
    TooManyForIt,
    /// As many calls wait in the process as may.
    TooMany,
}

/// What a caller may know of the edge that it waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Sight {
    /// Whether it was here.
    Clear,
    /// Nothing: it waits as for one that never was.
    None,
}

#[derive(Debug)]
pub(crate) struct Waiting {
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    memory: Memory,
    queues: HashMap<Key, Queue>,
    /// Calls in all queues.
    calls: usize,
}

/// Which edge is waited for, by whom: those who may know of it and those who may not are apart, so that neither finds the places
/// taken that the others have.
type Key = (ClientId, Sight);

/// The calls that wait for one edge, in the order in which they came.
#[derive(Debug, Default)]
struct Queue {
    calls: usize,
    changed: Arc<Notify>,
}

/// As it is right after a start.
impl Default for Waiting {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            state: Mutex::default(),
        }
    }
}

impl Waiting {
    /// The first tunnel of that id is up.
    pub(crate) fn arrived(&self, id: &ClientId) {
        let mut state = self.lock();
        state.memory.arrived(id);
        state.tell(id);
    }

    /// The last one is gone, and had these labels.
    pub(crate) fn left(&self, id: &ClientId, labels: &Labels) {
        let now = Instant::now();
        self.lock().memory.left(id, labels, now);
    }

    /// The labels of an edge that left, as long as that is remembered.
    pub(crate) fn labels(&self, id: &ClientId) -> Option<Labels> {
        self.lock().memory.labels(id).cloned()
    }

    /// A tunnel of that id takes calls again.
    pub(crate) fn changed(&self, id: &ClientId) {
        self.lock().tell(id);
    }

    /// Waits until `look` finds what it wants of the edge of that id, for as long as `settings` let it; `sight` says whether the one
    /// who waits may know that it was here.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: a place among those that wait is lost, nothing else.
    pub(crate) async fn wait<T>(
        &self,
        id: &ClientId,
        settings: &WaitSettings,
        sight: Sight,
        look: impl Fn() -> Option<T>,
    ) -> Result<T, Absence> {
        let place = self.enter(id, settings, sight)?;
        debug!(client_id = %id, "a call waits for its edge");
        let found = async {
            loop {
                let changed = place.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(found) = look() {
                    return found;
                }
                changed.await;
            }
        };
        timeout(settings.reconnect_wait, found)
            .await
            .map_err(|_| Absence::Away)
    }

    fn enter(
        &self,
        id: &ClientId,
        settings: &WaitSettings,
        sight: Sight,
    ) -> Result<Place<'_>, Absence> {
        let now = Instant::now();
        let mut state = self.lock();
        state.memory.forget(now, settings.remember_edges);
        let warming_up = self.started.elapsed() < settings.warm_up;
        let is_known = sight == Sight::Clear && state.memory.knows(id);
        if !warming_up && !is_known {
            return Err(Absence::Unknown);
        }
        if settings.reconnect_wait.is_zero() {
            return Err(Absence::Away);
        }
        if state.calls >= settings.max_waiting_calls {
            return Err(Absence::TooMany);
        }
        let key = (id.clone(), sight);
        let waiting = state.queues.get(&key).map_or(0, |queue| queue.calls);
        if waiting >= settings.max_waiting_calls_per_edge {
            return Err(Absence::TooManyForIt);
        }
        state.calls += 1;
        let queue = state.queues.entry(key.clone()).or_default();
        queue.calls += 1;
        Ok(Place {
            waiting: self,
            key,
            changed: Arc::clone(&queue.changed),
        })
    }

    /// Calls that wait now.
    #[cfg(test)]
    pub(crate) fn calls(&self) -> usize {
        self.lock().calls
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held leaves maps that are still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Lets the calls that wait for `id` look again, who came first first.
    fn tell(&self, id: &ClientId) {
        for sight in [Sight::Clear, Sight::None] {
            if let Some(queue) = self.queues.get(&(id.clone(), sight)) {
                queue.changed.notify_waiters();
            }
        }
    }
}

/// A call's place among those that wait.
struct Place<'a> {
    waiting: &'a Waiting,
    key: Key,
    changed: Arc<Notify>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.waiting.lock();
        state.calls -= 1;
        let Some(queue) = state.queues.get_mut(&self.key) else {
            return;
        };
        queue.calls -= 1;
        if queue.calls == 0 {
            state.queues.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests;
