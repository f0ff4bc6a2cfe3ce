//! The lanes of one edge: opened when needed, one at a time, and closed when idle.
//!
//! Calls are admitted here, bounded and first come first served, *before* they reach HTTP/2: its own queue has no
//! bound. A lane with a call that moves much becomes bulk, and new calls go to another lane; a path that was seen to be
//! bulk starts on a bulk lane.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use grpc_multiplexer_tunnel::Session;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::lane::{DialFailure, Lane};

/// Lanes on one tunnel at a time.
const LANES: usize = 16;
/// Calls on one edge at a time. The original had no limit; this one only protects the process.
const CALLS_PER_EDGE: usize = 4096;
/// Calls that may wait for a place.
const WAITING: usize = 256;
/// How long they may wait.
const WAIT: Duration = Duration::from_secs(1);
/// Bytes in one direction that make a call, its lane and its path bulk.
pub(crate) const BULK: u64 = 1024 * 1024;
/// Paths that are remembered as bulk.
const BULK_PATHS: usize = 256;
/// Longest of them.
const BULK_PATH_LENGTH: usize = 256;
/// A failed dial is answered from memory for this long at first, so that a backend that restarts does not cost a dial
/// per call.
const FAIL_FAST_FIRST: Duration = Duration::from_millis(100);
/// And for this long at most.
const FAIL_FAST_MOST: Duration = Duration::from_secs(2);

/// Why a call got no lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoLane {
    /// As many calls as the edge takes are open, and as many wait as may.
    Busy,
    /// The backend cannot be reached.
    Dial(DialFailure),
}

/// The lanes of one edge.
#[derive(Debug)]
pub(crate) struct Lanes {
    session: Session,
    endpoint_id: u32,
    dial_timeout: Duration,
    calls: Arc<Semaphore>,
    waiting: AtomicUsize,
    state: Mutex<State>,
    /// A lane came up or failed, or has room again.
    changed: Notify,
    tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct State {
    lanes: Vec<Arc<Lane>>,
    opening: bool,
    failure: Option<Failure>,
    bulk_paths: HashSet<String>,
}

#[derive(Debug, Clone, Copy)]
struct Failure {
    why: DialFailure,
    until: Instant,
    next_hold: Duration,
}

impl Lanes {
    pub(crate) fn new(session: Session, endpoint_id: u32, dial_timeout: Duration) -> Arc<Self> {
        Arc::new(Self {
            session,
            endpoint_id,
            dial_timeout,
            calls: Arc::new(Semaphore::new(CALLS_PER_EDGE)),
            waiting: AtomicUsize::new(0),
            state: Mutex::default(),
            changed: Notify::new(),
            tasks: TaskTracker::new(),
        })
    }

    /// Calls that have a place now.
    pub(crate) fn calls(&self) -> usize {
        CALLS_PER_EDGE - self.calls.available_permits()
    }

    /// A place on a lane for a call of `path`.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: a place in the queue is lost, nothing else.
    pub(crate) async fn acquire(self: &Arc<Self>, path: &str) -> Result<Slot, NoLane> {
        let permit = match Arc::clone(&self.calls).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let _place = self.queue()?;
                let permit = timeout(WAIT, Arc::clone(&self.calls).acquire_owned());
                let permit = permit.await.map_err(|_| NoLane::Busy)?;
                permit.expect("the semaphore is never closed")
            }
        };
        if let Some(lane) = self.pick_or_open(path)? {
            return Ok(self.slot(lane, permit));
        }
        let _place = self.queue()?;
        // The wait for a full edge is short; for a backend that is being dialled it is the dial's own.
        let limit = self.dial_timeout * 2 + WAIT;
        let lane = timeout(limit, self.wait_for_lane(path)).await;
        let lane = lane.map_err(|_| NoLane::Dial(DialFailure::Timeout))??;
        Ok(self.slot(lane, permit))
    }

    fn slot(self: &Arc<Self>, lane: Arc<Lane>, permit: OwnedSemaphorePermit) -> Slot {
        Slot {
            lanes: Arc::clone(self),
            lane,
            permit: Some(permit),
        }
    }

    async fn wait_for_lane(self: &Arc<Self>, path: &str) -> Result<Arc<Lane>, NoLane> {
        let mut full_since = None;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(lane) = self.pick_or_open(path)? {
                return Ok(lane);
            }
            let opening = self.lock().opening;
            if opening {
                full_since = None;
                changed.await;
            } else {
                let since = *full_since.get_or_insert_with(Instant::now);
                let left = (since + WAIT).saturating_duration_since(Instant::now());
                timeout(left, changed).await.map_err(|_| NoLane::Busy)?;
            }
        }
    }

    fn queue(&self) -> Result<Place<'_>, NoLane> {
        let place = Place(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING {
            return Err(NoLane::Busy);
        }
        Ok(place)
    }

    /// The lane for a new call of `path`, already counted on it. Starts opening one where that is needed and possible.
    fn pick_or_open(self: &Arc<Self>, path: &str) -> Result<Option<Arc<Lane>>, NoLane> {
        let mut state = self.lock();
        let bulk = state.bulk_paths.contains(path);
        state.lanes.retain(|lane| !lane.is_over());
        let open = state.lanes.iter().filter(|lane| lane.takes_calls());
        // Few lanes in use share their header compression best: the first with room, of the fitting sort.
        let (fitting, other): (Vec<_>, Vec<_>) = open.partition(|lane| lane.is_bulk() == bulk);
        if let Some(lane) = fitting.first() {
            lane.call_started();
            return Ok(Some(Arc::clone(lane)));
        }
        let other = other.first().map(|lane| Arc::clone(lane));
        let failing = state
            .failure
            .filter(|failure| Instant::now() < failure.until);
        if state.lanes.len() < LANES && failing.is_none() && !state.opening {
            state.opening = true;
            let open = Arc::clone(self).open_lane(bulk);
            self.tasks.spawn(open.in_current_span());
        }
        // A path on the wrong sort of lane beats one that waits, if only for the dial.
        if let Some(lane) = other.filter(|_| failing.is_some() || state.lanes.len() >= LANES) {
            lane.call_started();
            return Ok(Some(lane));
        }
        match failing {
            Some(failure) if !state.opening && state.lanes.is_empty() => {
                Err(NoLane::Dial(failure.why))
            }
            _ => Ok(None),
        }
    }

    /// Opens one lane and runs it to its end.
    async fn open_lane(self: Arc<Self>, bulk: bool) {
        let opened = Lane::open(&self.session, self.endpoint_id, self.dial_timeout).await;
        let task = {
            let mut state = self.lock();
            state.opening = false;
            match opened {
                Ok((lane, task)) => {
                    if bulk {
                        lane.promote();
                    }
                    state.failure = None;
                    state.lanes.push(lane);
                    Some(task)
                }
                Err(why) => {
                    tracing::debug!(?why, "no lane");
                    state.fail(why, Instant::now());
                    None
                }
            }
        };
        self.changed.notify_waiters();
        if let Some(task) = task {
            task.run().await;
            self.lock().lanes.retain(|lane| !lane.is_over());
            self.changed.notify_waiters();
        }
    }

    /// Waits until no call has a place.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub(crate) async fn idle(&self) {
        // Counts as waiting, whatever the limit: else nobody tells it.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _place = Place(&self.waiting);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.calls() == 0 {
                return;
            }
            changed.await;
        }
    }

    /// Closes every lane in order, and waits until they are. Calls still on one go on until they end.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: the lanes close all the same.
    pub(crate) async fn close(&self) {
        for lane in &self.lock().lanes {
            lane.close();
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// A call on `lane` moved much.
    pub(crate) fn promote(&self, lane: &Lane, path: &str) {
        lane.promote();
        if path.len() > BULK_PATH_LENGTH {
            return;
        }
        let mut state = self.lock();
        if state.bulk_paths.len() >= BULK_PATHS {
            state.bulk_paths.clear();
        }
        state.bulk_paths.insert(path.to_owned());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held leaves state that is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn fail(&mut self, why: DialFailure, now: Instant) {
        let hold = self
            .failure
            .map_or(FAIL_FAST_FIRST, |failure| failure.next_hold);
        self.failure = Some(Failure {
            why,
            until: now + hold,
            next_hold: (hold * 2).min(FAIL_FAST_MOST),
        });
    }
}

/// A place in the queue.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The place of one call on a lane.
#[derive(Debug)]
pub(crate) struct Slot {
    lanes: Arc<Lanes>,
    lane: Arc<Lane>,
    /// Given back before anybody is told.
    permit: Option<OwnedSemaphorePermit>,
}

impl Slot {
    pub(crate) fn lane(&self) -> &Arc<Lane> {
        &self.lane
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.lane.call_ended();
        drop(self.permit.take());
        if self.lanes.waiting.load(Ordering::Relaxed) > 0 {
            self.lanes.changed.notify_waiters();
        }
    }
}
