//! Whether the threads of a runtime get on with their work.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

/// How long the runtime may take to run one empty task before it counts as dead.
const PULSE: Duration = Duration::from_secs(5);
/// A thread that has been busy with one task for so long is stuck: tasks give way again within milliseconds.
const STUCK: Duration = Duration::from_secs(5);
/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// The threads that run tasks, seen from outside of them.
#[derive(Debug)]
pub(super) struct Workers {
    runtime: Handle,
    seen: Mutex<Vec<Seen>>,
}

/// What one of them had done, and since when no more.
#[derive(Debug)]
struct Seen {
    /// How often it went to sleep or woke up.
    turns: u64,
    /// Its time at work, which is told every few tasks.
    busy: Duration,
    since: Instant,
}

impl Workers {
    pub(super) fn of(runtime: Handle) -> Self {
        Self {
            runtime,
            seen: Mutex::default(),
        }
    }

    /// Looks now and then, for ever.
    pub(super) async fn watch(&self) {
        loop {
            drop(self.look());
            sleep(LOOK).await;
        }
    }

    /// Why no work is done, or none by one of them.
    pub(super) async fn dead(&self) -> Option<String> {
        if timeout(PULSE, self.runtime.spawn(async {})).await.is_err() {
            return Some(format!("no task ran for {PULSE:?}"));
        }
        let stuck = self.stuck()?;
        Some(format!(
            "a thread has been stuck in one task for {stuck:.0?}"
        ))
    }

    /// How long the one has been stuck that has been longest.
    fn stuck(&self) -> Option<Duration> {
        let seen = self.look();
        let awake = seen.iter().filter(|seen| seen.turns.is_multiple_of(2));
        let longest = awake.map(|seen| seen.since.elapsed()).max();
        longest.filter(|time| *time > STUCK)
    }

    fn look(&self) -> MutexGuard<'_, Vec<Seen>> {
        // A panic while the lock is held leaves a list that is still whole.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let metrics = self.runtime.metrics();
        for worker in 0..metrics.num_workers() {
            let turns = metrics.worker_park_unpark_count(worker);
            let busy = metrics.worker_total_busy_duration(worker);
            let since = Instant::now();
            let now = Seen { turns, busy, since };
            match seen.get_mut(worker) {
                Some(before) if (before.turns, before.busy) == (turns, busy) => {}
                Some(before) => *before = now,
                None => seen.push(now),
            }
        }
        seen
    }
}
