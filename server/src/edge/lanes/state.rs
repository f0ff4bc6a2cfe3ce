//! What is known of an edge's lanes at one moment, and which of them gets the next call.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use grpc_multiplexer_tunnel::LANES;
use tokio::time::Instant;

use crate::edge::budget::Room;
use crate::edge::lane::{DialFailure, Lane};
use crate::metrics::Cancels;

/// Lanes that take calls, at most. The tunnel has [`LANES`] in all: the rest is for those that end with their last call,
/// which may last for ever. A backend that ends its connections after so many calls or minutes makes many of them.
const TAKING: usize = 16;
/// Lanes that only wait for the ends of their calls, at most, when another is to join them for its resets.
const DRAINING: usize = 8;
/// Paths that are remembered as bulk.
const BULK_PATHS: usize = 256;
/// Longest of them.
const BULK_PATH_LENGTH: usize = 256;
/// A failed dial is answered from memory for this long at first, so that a backend that restarts does not cost a dial
/// per call.
const FAIL_FAST_FIRST: Duration = Duration::from_millis(100);
/// And for this long at most.
const FAIL_FAST_MOST: Duration = Duration::from_secs(2);
/// A lane that ends sooner than this and never had a call was none.
const SHORT_LIFE: Duration = Duration::from_secs(1);
/// Between two looks whether a lane may send resets again: nobody tells of it.
const REFILL: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
pub(super) struct State {
    /// Those that take calls.
    pub(super) lanes: Vec<Arc<Lane>>,
    /// All that are being opened, open, or end with their last calls: the tunnel's permits.
    pub(super) alive: usize,
    pub(super) opening: bool,
    pub(super) closed: bool,
    pub(super) failure: Option<Failure>,
    pub(super) bulk_paths: HashSet<String>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Failure {
    pub(super) why: DialFailure,
    pub(super) until: Instant,
    next_hold: Duration,
}

impl State {
    /// The lane for a call. Few lanes in use share their header compression best: the first with room, of the fitting
    /// sort.
    pub(super) fn fitting(&self, bulk: bool, now: Instant) -> Option<Arc<Lane>> {
        let mut lanes = self.lanes.iter();
        lanes
            .find(|lane| lane.is_bulk() == bulk && lane.room(now) == Room::Free)
            .cloned()
    }

    /// A lane that is better than none.
    pub(super) fn other(&self, now: Instant) -> Option<Arc<Lane>> {
        let rooms = self.lanes.iter().map(|lane| (lane.room(now), lane));
        let (room, lane) = rooms.min_by_key(|(room, _)| *room)?;
        (room <= Room::Worn).then(|| Arc::clone(lane))
    }

    /// Lanes that sent as many resets as their backend bears end with their calls, and others take their place. One for
    /// which there is no place among those that end takes calls again when it may send resets again.
    pub(super) fn rotate(&mut self, now: Instant, cancels: &Cancels) {
        let places = (DRAINING + self.taking()).saturating_sub(self.alive);
        let over = self
            .lanes
            .iter()
            .filter(|lane| matches!(lane.room(now), Room::Worn | Room::Spent));
        for lane in over.take(places) {
            tracing::debug!("lane rotated");
            cancels.rotated();
            lane.close();
        }
        self.tidy(now);
    }

    /// Forgets lanes that are over. A backend that ended one soon, and before it had a call, counts as one that refused the
    /// dial: else it would be dialled again at once, and for ever.
    pub(super) fn tidy(&mut self, now: Instant) {
        let over = |lane: &&Arc<Lane>| lane.is_over();
        let mut over = self.lanes.iter().filter(over);
        if over.any(|lane| !lane.was_used() && lane.age(now) < SHORT_LIFE) {
            self.fail(DialFailure::Refused, now);
        }
        self.lanes.retain(|lane| !lane.is_over());
    }

    /// Whether one more may be opened beside those that there are.
    pub(super) fn has_place_for_another(&self) -> bool {
        self.taking() < TAKING && self.alive < LANES
    }

    /// Calls of `path` go to bulk lanes from now on.
    pub(super) fn remember_bulk(&mut self, path: &str) {
        if path.len() > BULK_PATH_LENGTH {
            return;
        }
        if self.bulk_paths.len() >= BULK_PATHS {
            // Any of them: what is bulk comes back by itself.
            let one = self.bulk_paths.iter().next().cloned();
            one.map(|path| self.bulk_paths.remove(&path));
        }
        self.bulk_paths.insert(path.to_owned());
    }

    pub(super) fn has(&self, room: Room, now: Instant) -> bool {
        self.lanes.iter().any(|lane| lane.room(now) == room)
    }

    /// Whether a call that finds no room waits for the end of another. A lane that is being opened takes its own time, and
    /// so does one that is to send resets again.
    pub(super) fn is_full(&self, now: Instant) -> bool {
        !self.opening && !self.recovers(now)
    }

    /// When a call that waits should look again though nothing was told.
    pub(super) fn again(&self, now: Instant) -> Option<Instant> {
        let refilled = self.recovers(now).then(|| now + REFILL);
        let dialled = self.failure.map(|failure| failure.until);
        let moments = refilled.into_iter().chain(dialled);
        moments.filter(|moment| now < *moment).min()
    }

    /// Whether a lane will have room as soon as it may send resets again.
    fn recovers(&self, now: Instant) -> bool {
        self.has(Room::Spent, now) || self.has(Room::Gated, now)
    }

    pub(super) fn fail(&mut self, why: DialFailure, now: Instant) {
        let hold = self
            .failure
            .map_or(FAIL_FAST_FIRST, |failure| failure.next_hold);
        self.failure = Some(Failure {
            why,
            until: now + hold,
            next_hold: (hold * 2).min(FAIL_FAST_MOST),
        });
    }

    /// Lanes that take calls, or are about to.
    fn taking(&self) -> usize {
        self.lanes.len() + usize::from(self.opening)
    }
}
