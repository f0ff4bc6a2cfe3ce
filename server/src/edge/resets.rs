//! The resets towards one tunnel's backend: what they are counted in, and what they taught.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use grpc_multiplexer_process::Seldom;
use tokio::time::Instant;

use super::tolerance::Tolerance;
use crate::metrics::Cancels;

/// For so long a lesson holds: a backend may be replaced by one that bears more.
const HOLDS: Duration = Duration::from_secs(3_600);
/// For so long a backend counts as slow that was.
const SLOW: Duration = Duration::from_secs(10);

/// Of all lanes of one tunnel.
#[derive(Debug)]
pub(crate) struct Resets {
    cancels: Cancels,
    said_slow: Seldom,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    lesson: Option<Lesson>,
    slow_until: Option<Instant>,
}

/// It bears fewer resets than its SETTINGS let expect.
#[derive(Debug, Clone, Copy)]
struct Lesson {
    tolerance: Tolerance,
    until: Instant,
}

impl Resets {
    pub(crate) fn new(cancels: Cancels) -> Self {
        Self {
            cancels,
            said_slow: Seldom::default(),
            state: Mutex::default(),
        }
    }

    pub(crate) fn cancels(&self) -> &Cancels {
        &self.cancels
    }

    /// From now on no more is expected than `tolerance`, nor more than what earlier lessons left.
    pub(crate) fn learn(&self, tolerance: Tolerance, now: Instant) {
        let tolerance = self.apply(tolerance, now);
        self.lock().lesson = Some(Lesson {
            tolerance,
            until: now + HOLDS,
        });
    }

    /// What is left of `tolerance`.
    pub(crate) fn apply(&self, tolerance: Tolerance, now: Instant) -> Tolerance {
        match self.lock().lesson {
            Some(lesson) if now < lesson.until => tolerance.and(lesson.tolerance),
            _ => tolerance,
        }
    }

    /// So many streams are held on a lane, some for long. Said once in a while only.
    pub(crate) fn slow(&self, held: usize, now: Instant) {
        self.lock().slow_until = Some(now + SLOW);
        if let Some(times) = self.said_slow.again() {
            tracing::warn!(
                held,
                times,
                "a backend learns late that calls were cancelled"
            );
        }
    }

    /// Whether streams were held for long a moment ago.
    pub(crate) fn is_slow(&self, now: Instant) -> bool {
        self.lock().slow_until.is_some_and(|until| now < until)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held leaves state that is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use h2::Reason;

    use super::*;

    #[test]
    fn a_lesson_holds_for_an_hour_and_the_strictest_counts() {
        let (resets, now) = (Resets::new(Cancels::default()), Instant::now());
        let node = Tolerance::of_settings(&[]);
        assert_eq!(resets.apply(node, now), node);
        let strict = node.after(Reason::INTERNAL_ERROR, 100);
        let lax = node.after(Reason::INTERNAL_ERROR, 1_000);
        resets.learn(strict, now);
        resets.learn(lax, now + Duration::from_secs(60));
        let later = now + Duration::from_secs(3_600);
        assert_eq!(resets.apply(node, later), strict);
        let over = now + Duration::from_secs(3_661);
        assert_eq!(resets.apply(node, over), node);
    }
}
