//! The lanes of one edge: opened when needed, one at a time, and closed when idle.
//!
//! Calls are admitted here, bounded and in turns over caller connections, *before* they reach HTTP/2: its own queue has
//! no bound and no turns. A lane with a call that moves much becomes bulk, and new calls go to another lane; a path that
//! was seen to be bulk starts on a bulk lane. A lane that sent as many resets as its backend bears makes way for a fresh
//! one.

mod state;

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use grpc_multiplexer_tunnel::Session;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::budget::Room;
use super::lane::{DialFailure, Lane, LaneTask};
use super::places::{self, CallerId, Places};
use super::resets::Resets;
use crate::guard::Floods;
use crate::limits::EdgeLimits;
use crate::metrics::Cancels;
use crate::moment;
use state::State;

/// Bytes in one direction that make a call, its lane and its path bulk.
pub(crate) const BULK: u64 = 1024 * 1024;

/// Why a call got no lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoLane {
    /// As many calls as the edge takes are open, and as many wait as may.
    Busy,
    /// The backend cannot be reached.
    Dial(DialFailure),
}

/// What the lanes of every edge go by.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) limits: EdgeLimits,
    /// What an edge may take to reach its backend.
    pub(crate) dial_timeout: Duration,
    pub(crate) cancels: Cancels,
    pub(crate) floods: Arc<Floods>,
}

/// The lanes of one edge.
#[derive(Debug)]
pub(crate) struct Lanes {
    session: Session,
    endpoint_id: u32,
    dial_timeout: Duration,
    /// How long a call may wait while the edge is full.
    patience: Duration,
    calls: Arc<Places>,
    /// Whose turn it is to wait for a lane: of all calls, and of those whose path is bulk.
    turns: [Arc<Places>; 2],
    state: Mutex<State>,
    resets: Arc<Resets>,
    floods: Arc<Floods>,
    /// It was said that the backend's window is small.
    is_narrow: AtomicBool,
    /// A lane came up or failed.
    changed: Notify,
    /// Who wants to be told that there is room.
    waiting: AtomicUsize,
    /// A call gave its place back.
    room: Notify,
    tasks: TaskTracker,
    /// Where the tunnel is served.
    home: Handle,
}

impl Lanes {
    /// None yet. The tunnel is served at `home`.
    pub(crate) fn new(
        session: Session,
        endpoint_id: u32,
        terms: &Terms,
        home: Handle,
    ) -> Arc<Self> {
        Arc::new(Self {
            session,
            endpoint_id,
            dial_timeout: terms.dial_timeout,
            patience: terms.limits.patience,
            calls: Places::new(terms.limits.calls, terms.limits.queued),
            // Those who wait for a lane have places, so they are no more than these.
            turns: std::array::from_fn(|_| Places::new(1, terms.limits.calls)),
            state: Mutex::default(),
            resets: Arc::new(Resets::new(terms.cancels.clone())),
            floods: Arc::clone(&terms.floods),
            is_narrow: AtomicBool::new(false),
            changed: Notify::new(),
            waiting: AtomicUsize::new(0),
            room: Notify::new(),
            tasks: TaskTracker::new(),
            home,
        })
    }

    /// The least round trip of the tunnel, where it is known.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.session.rtt()
    }

    /// Whether it is the first time that an upload was seen to wait for the backend's window.
    pub(crate) fn is_first_narrow(&self) -> bool {
        !self.is_narrow.swap(true, Ordering::Relaxed)
    }

    /// Calls that have a place now.
    pub(crate) fn calls(&self) -> usize {
        self.calls.taken()
    }

    /// Calls that wait for a place on the edge, or on a lane.
    pub(crate) fn queued(&self) -> usize {
        let for_lane = self
            .turns
            .iter()
            .map(|turns| turns.taken() + turns.waiting());
        self.calls.waiting() + for_lane.sum::<usize>()
    }

    /// A place on a lane for a call of `path`, where `caller` has to wait for nothing.
    pub(crate) fn acquire_at_once(
        self: &Arc<Self>,
        path: &str,
        caller: CallerId,
    ) -> Option<Result<Slot, NoLane>> {
        let place = self.place_of(self.calls.take_at_once(caller)?);
        match self.lane_at_once(path) {
            Ok(lane) => Some(Ok(Slot { lane: lane?, place })),
            Err(no_lane) => Some(Err(no_lane)),
        }
    }

    /// A place on a lane for a call of `path`, in turns over the `caller` connections that want one.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: a place in the queue is lost, nothing else.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        path: &str,
        caller: CallerId,
    ) -> Result<Slot, NoLane> {
        let place = self.place(caller).await?;
        if let Some(lane) = self.lane_at_once(path)? {
            return Ok(Slot { lane, place });
        }
        let turns = self.turns_for(path);
        // The wait for a full edge is short; for a backend that is being dialled it is the dial's own, and as long for
        // one that cannot be told now that calls were cancelled.
        let limit = self.dial_timeout * 2 + self.patience;
        let lane = timeout(limit, self.wait_for_lane(path, turns.take(caller))).await;
        let lane = lane.map_err(|_| {
            if self.lock().opening {
                NoLane::Dial(DialFailure::Timeout)
            } else {
                NoLane::Busy
            }
        })??;
        Ok(Slot { lane, place })
    }

    /// One of the places that an edge has for calls.
    async fn place(self: &Arc<Self>, caller: CallerId) -> Result<Place, NoLane> {
        let taken = timeout(self.patience, self.calls.take(caller)).await;
        let taken = taken.ok().flatten().ok_or(NoLane::Busy)?;
        Ok(self.place_of(taken))
    }

    fn place_of(self: &Arc<Self>, taken: places::Place) -> Place {
        Place {
            lanes: Arc::clone(self),
            taken: Some(taken),
        }
    }

    /// Whose turn it is to wait for a lane for calls of `path`.
    fn turns_for(&self, path: &str) -> &Arc<Places> {
        &self.turns[usize::from(self.lock().bulk_paths.contains(path))]
    }

    /// The lane for a new call of `path`, unless others wait for one.
    fn lane_at_once(self: &Arc<Self>, path: &str) -> Result<Option<Arc<Lane>>, NoLane> {
        if self.turns_for(path).taken() > 0 {
            return Ok(None);
        }
        self.pick_or_open(path)
    }

    /// One call at a time looks for a lane, in turns; the others wait for their `turn`, and all of them no longer than
    /// they may.
    async fn wait_for_lane(
        self: &Arc<Self>,
        path: &str,
        turn: impl Future<Output = Option<places::Place>>,
    ) -> Result<Arc<Lane>, NoLane> {
        let _told = Count::on(&self.waiting);
        let mut turn = pin!(turn);
        let mut has_turn = None;
        let mut full_since = None;
        loop {
            let mut changed = pin!(self.changed.notified());
            let mut room = pin!(self.room.notified());
            changed.as_mut().enable();
            room.as_mut().enable();
            if has_turn.is_some()
                && let Some(lane) = self.pick_or_open(path)?
            {
                return Ok(lane);
            }
            let again = {
                let (state, now) = (self.lock(), Instant::now());
                if state.is_full(now) {
                    full_since.get_or_insert(now);
                } else {
                    full_since = None;
                }
                state.again(now)
            };
            tokio::select! {
                biased;
                next = &mut turn, if has_turn.is_none() => has_turn = Some(next.ok_or(NoLane::Busy)?),
                () = changed => {}
                () = room, if has_turn.is_some() => {}
                () = moment::reached(again), if has_turn.is_some() => {}
                () = moment::reached(full_since.map(|since| since + self.patience)) => {
                    if !self.lock().opening {
                        return Err(NoLane::Busy);
                    }
                }
            }
        }
    }

    /// The lane for a new call of `path`, already counted on it. Starts opening one where that is needed and possible.
    fn pick_or_open(self: &Arc<Self>, path: &str) -> Result<Option<Arc<Lane>>, NoLane> {
        let mut state = self.lock();
        if state.closed {
            return Err(NoLane::Dial(DialFailure::Unprocessed));
        }
        let bulk = state.bulk_paths.contains(path);
        let now = Instant::now();
        state.tidy(now);
        // A backend that is slow to take calls on one lane does not need more of them on another.
        if self.resets.is_slow(now) && state.has(Room::Gated, now) {
            return Ok(None);
        }
        if let Some(lane) = state.fitting(bulk, now) {
            if !lane.was_used() {
                // What failed before is over.
                state.failure = None;
            }
            lane.call_started();
            return Ok(Some(lane));
        }
        let failing = state.failure.filter(|failure| now < failure.until);
        if failing.is_none() && !state.has_place_for_another() {
            state.rotate(now, self.resets.cancels());
        }
        let may_open = failing.is_none() && state.has_place_for_another();
        if may_open && !state.opening {
            state.opening = true;
            state.alive += 1;
            let open = Arc::clone(self).open_lane(bulk);
            self.tasks.spawn_on(open.in_current_span(), &self.home);
        }
        if !may_open && let Some(lane) = state.other(now) {
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
        let mut alive = Alive {
            lanes: &self,
            opening: true,
        };
        let opened = Lane::open(
            &self.session,
            self.endpoint_id,
            self.dial_timeout,
            &self.resets,
            &self.floods,
        )
        .await;
        alive.opening = false;
        let task = self.opened(opened, bulk);
        self.changed.notify_waiters();
        if let Some(task) = task {
            task.run().await;
        }
    }

    fn opened(
        &self,
        opened: Result<(Arc<Lane>, LaneTask), DialFailure>,
        bulk: bool,
    ) -> Option<LaneTask> {
        let mut state = self.lock();
        state.opening = false;
        match opened {
            Ok((lane, task)) => {
                if bulk {
                    lane.promote();
                }
                if state.closed {
                    lane.close();
                }
                state.lanes.push(lane);
                // Not before there is one to take their place.
                state.rotate(Instant::now(), self.resets.cancels());
                Some(task)
            }
            Err(why) => {
                tracing::debug!(?why, "no lane");
                state.fail(why, Instant::now());
                None
            }
        }
    }

    /// Waits until no call has a place.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub(crate) async fn idle(&self) {
        let _told = Count::on(&self.waiting);
        loop {
            let mut room = pin!(self.room.notified());
            room.as_mut().enable();
            if self.calls() == 0 {
                return;
            }
            room.await;
        }
    }

    /// Opens no lane any more, closes every one in order, and waits until they are. Calls still on one go on until they
    /// end.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: the lanes close all the same.
    pub(crate) async fn close(&self) {
        {
            let mut state = self.lock();
            state.closed = true;
            state.lanes.iter().for_each(|lane| lane.close());
        }
        self.changed.notify_waiters();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// A call on `lane` moved much.
    pub(crate) fn promote(&self, lane: &Lane, path: &str) {
        lane.promote();
        self.lock().remember_bulk(path);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held leaves state that is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One more for as long as it lives.
struct Count<'a>(&'a AtomicUsize);

impl<'a> Count<'a> {
    fn on(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A lane that counts against the tunnel's, from its dial to its end, however it ends.
struct Alive<'a> {
    lanes: &'a Lanes,
    opening: bool,
}

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        let mut state = self.lanes.lock();
        state.alive -= 1;
        if self.opening {
            state.opening = false;
        }
        state.lanes.retain(|lane| !lane.is_over());
        drop(state);
        self.lanes.changed.notify_waiters();
    }
}

/// A call's place on the edge. Whoever waits is told when it is given back.
#[derive(Debug)]
struct Place {
    lanes: Arc<Lanes>,
    taken: Option<places::Place>,
}

impl Drop for Place {
    fn drop(&mut self) {
        // First, or who is told would not see it.
        drop(self.taken.take());
        if self.lanes.waiting.load(Ordering::SeqCst) > 0 {
            self.lanes.room.notify_waiters();
        }
    }
}

/// The place of one call on a lane.
#[derive(Debug)]
pub(crate) struct Slot {
    lane: Arc<Lane>,
    #[expect(dead_code, reason = "held, and given back after the lane was told")]
    place: Place,
}

impl Slot {
    pub(crate) fn lane(&self) -> &Arc<Lane> {
        &self.lane
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.lane.call_ended();
    }
}
