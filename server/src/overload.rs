//! What gives when there is too little of something, and in which order.
//!
//! Memory and descriptors are what the whole process shares. As they run short, work is shed from the cheapest to the
//! dearest: callers that come, then tunnels that come, then calls that begin, and only then a call that is under way:
//! the one that holds most of what its other side does not take. Discovery, health and what is under way are served on.

mod counter;
mod descriptors;
mod in_use;
mod memory;
mod stalled;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use grpc_multiplexer_process::Readiness;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::limits::Limits;
use crate::metrics::Metrics;
use counter::Counter;
pub(crate) use counter::Taken;
use descriptors::Descriptors;
use in_use::InUse;
use memory::Memory;
pub(crate) use stalled::{Load, Stalled};

/// Between two looks at the memory. In that time a fast network brings some ten megabytes.
const LOOK: Duration = Duration::from_millis(100);
/// Between two resets of calls: what they held takes a moment to come free.
const RESET: Duration = Duration::from_millis(500);
/// What must come free beyond a mark before work is taken again, in hundredths of the memory.
const SLACK: u64 = 5;

/// So few are served however short memory seems: to refuse them would free nothing worth a server that serves nobody.
const FEW: usize = 16;

/// What is shed, in order: each includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shed {
    Nothing,
    /// Callers that come.
    Callers,
    /// Tunnels that come.
    Tunnels,
    /// Calls that begin.
    Calls,
    /// Calls that hold much.
    Stalled,
}

/// From how many hundredths of the memory on each is shed.
const MARKS: [(Shed, u64); 4] = [
    (Shed::Callers, 70),
    (Shed::Tunnels, 75),
    (Shed::Calls, CALLS_MARK),
    (Shed::Stalled, 90),
];
const CALLS_MARK: u64 = 80;

impl Shed {
    /// What to shed with so many hundredths in use, where `self` was shed before.
    fn next(self, used: u64) -> Self {
        let reached = |(shed, mark): &&(Self, u64)| {
            let mark = if *shed <= self { mark - SLACK } else { *mark };
            used >= mark
        };
        let last = MARKS.iter().take_while(reached).last();
        last.map_or(Self::Nothing, |(shed, _)| *shed)
    }

    fn of(number: u8) -> Self {
        let mark = usize::from(number)
            .checked_sub(1)
            .and_then(|n| MARKS.get(n));
        mark.map_or(Self::Nothing, |(shed, _)| *shed)
    }
}

/// How much of what all share is in use, and what is refused for it.
#[derive(Debug)]
pub(crate) struct Overload {
    shed: AtomicU8,
    memory: Memory,
    stalled: Arc<Stalled>,
    descriptors: Descriptors,
    calls: Arc<Counter>,
}

impl Overload {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            shed: AtomicU8::new(0),
            memory: Memory::within(limits.memory),
            stalled: Arc::default(),
            descriptors: Descriptors::of_process(),
            calls: Counter::up_to(limits.calls),
        })
    }

    /// What is shed now.
    pub(crate) fn shed(&self) -> Shed {
        Shed::of(self.shed.load(Ordering::Relaxed))
    }

    /// The calls that hold what nobody takes.
    pub(crate) fn stalled(&self) -> &Arc<Stalled> {
        &self.stalled
    }

    /// Lets a caller in that just came; `None` if it must go.
    pub(crate) fn caller(&self) -> Option<Taken> {
        let few = self.descriptors.open() < FEW;
        (few || self.shed() < Shed::Callers).then_some(())?;
        self.descriptors.caller()
    }

    /// Lets an edge in that just came; `None` if it must go.
    pub(crate) fn edge(&self) -> Option<Taken> {
        self.descriptors.edge()
    }

    /// Whether a tunnel may begin.
    pub(crate) fn takes_tunnels(&self) -> bool {
        self.shed() < Shed::Tunnels
    }

    /// Counts a call to an edge; `None` if it must not begin.
    pub(crate) fn call(&self) -> Option<Taken> {
        let few = self.calls.now() < FEW;
        (few || self.shed() < Shed::Calls).then_some(())?;
        self.calls.one()
    }

    /// Watches the memory, for ever, and says what it sees.
    pub(crate) async fn watch(self: Arc<Self>, metrics: Metrics, readiness: Readiness) {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reset_at = Instant::now();
        let mut in_use = InUse::default();
        loop {
            let now = ticks.tick().await;
            let Some(resident) = self.memory.resident() else {
                return;
            };
            let used = in_use.look(resident, self.load());
            self.memory_is(used);
            metrics.shed.set(self.shed() as i64);
            metrics.memory.set(used.try_into().unwrap_or(i64::MAX));
            metrics
                .memory_limit
                .set(self.memory.limit().try_into().unwrap_or(i64::MAX));
            readiness.set("overloaded", self.shed() >= Shed::Calls);
            self.stalled.look();
            if self.shed() == Shed::Stalled && now >= reset_at {
                reset_at = now + RESET;
                self.reset_largest(used);
            }
        }
    }

    fn load(&self) -> in_use::Load {
        in_use::Load {
            held: self.stalled.held(),
            calls: self.calls.now(),
            connections: self.descriptors.open(),
        }
    }

    fn memory_is(&self, used: u64) {
        let limit = self.memory.limit();
        let was = self.shed();
        let now = was.next(used.saturating_mul(100) / limit);
        self.shed.store(now as u8, Ordering::Relaxed);
        match (was >= Shed::Calls, now >= Shed::Calls) {
            (false, true) => warn!(used, limit, "memory is short, refusing new calls"),
            (true, false) => info!(used, limit, "memory is free again, taking new calls"),
            _ => {}
        }
    }

    /// Resets calls until so little is in use that new ones are taken again: or these would wait for who does not read.
    fn reset_largest(&self, used: u64) {
        let limit = self.memory.limit();
        let most = limit / 100 * (CALLS_MARK - SLACK);
        let (calls, bytes) = self.stalled.shed(used.saturating_sub(most));
        if calls > 0 {
            let what = "memory is short, resetting calls that hold most";
            warn!(used, limit, calls, bytes, "{what}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dearest_is_shed_last() {
        for (used, shed) in [
            (0, Shed::Nothing),
            (69, Shed::Nothing),
            (70, Shed::Callers),
            (75, Shed::Tunnels),
            (80, Shed::Calls),
            (90, Shed::Stalled),
            (500, Shed::Stalled),
        ] {
            assert_eq!(Shed::Nothing.next(used), shed, "{used}");
        }
    }

    #[test]
    fn what_is_shed_is_taken_again_only_with_some_slack() {
        assert_eq!(Shed::Calls.next(79), Shed::Calls);
        assert_eq!(Shed::Calls.next(75), Shed::Calls);
        assert_eq!(Shed::Calls.next(74), Shed::Tunnels);
        assert_eq!(Shed::Calls.next(64), Shed::Nothing);
        assert_eq!(Shed::Stalled.next(85), Shed::Stalled);
        assert_eq!(Shed::Stalled.next(84), Shed::Calls);
        // From below the higher marks are as they are.
        assert_eq!(Shed::Callers.next(74), Shed::Callers);
    }

    #[test]
    fn numbers_are_what_is_shed() {
        for (shed, _) in MARKS {
            assert_eq!(Shed::of(shed as u8), shed);
        }
        assert_eq!(Shed::of(0), Shed::Nothing);
    }

    #[test]
    fn a_few_calls_are_served_however_short_memory_seems() {
        let overload = Overload::new(&Limits::default());
        overload.shed.store(Shed::Stalled as u8, Ordering::Relaxed);
        let few: Vec<_> = std::iter::from_fn(|| overload.call()).collect();
        assert_eq!(few.len(), FEW);
        overload.shed.store(Shed::Tunnels as u8, Ordering::Relaxed);
        assert!(overload.call().is_some());
    }

    #[test]
    fn the_calls_of_the_process_are_counted_at_their_edge() {
        let limits = Limits {
            calls: 2,
            ..Limits::default()
        };
        let overload = Overload::new(&limits);
        let first = overload.call();
        let second = overload.call();
        assert!(first.is_some() && second.is_some());
        assert!(overload.call().is_none());
        drop(first);
        assert!(overload.call().is_some());
    }
}
