//! What an edge's backend taught: it bears fewer resets than its SETTINGS let expect.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::tolerance::Tolerance;

/// For so long a lesson holds: a backend may be replaced by one that bears more.
const HOLDS: Duration = Duration::from_secs(3_600);

/// The lessons of one tunnel's backend.
#[derive(Debug, Default)]
pub(crate) struct Lessons(Mutex<Option<Lesson>>);

#[derive(Debug, Clone, Copy)]
struct Lesson {
    tolerance: Tolerance,
    until: Instant,
}

impl Lessons {
    /// From now on no more is expected than `tolerance`, nor more than what earlier lessons left.
    pub(crate) fn learn(&self, tolerance: Tolerance, now: Instant) {
        let tolerance = self.apply(tolerance, now);
        *self.lock() = Some(Lesson {
            tolerance,
            until: now + HOLDS,
        });
    }

    /// What is left of `tolerance`.
    pub(crate) fn apply(&self, tolerance: Tolerance, now: Instant) -> Tolerance {
        match *self.lock() {
            Some(lesson) if now < lesson.until => tolerance.and(lesson.tolerance),
            _ => tolerance,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Lesson>> {
        // A panic while the lock is held leaves state that is still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use h2::Reason;

    use super::*;

    #[test]
    fn a_lesson_holds_for_an_hour_and_the_strictest_counts() {
        let (lessons, now) = (Lessons::default(), Instant::now());
        let node = Tolerance::of_settings(&[]);
        assert_eq!(lessons.apply(node, now), node);
        let strict = node.after(Reason::INTERNAL_ERROR, 100);
        let lax = node.after(Reason::INTERNAL_ERROR, 1_000);
        lessons.learn(strict, now);
        lessons.learn(lax, now + Duration::from_secs(60));
        let later = now + Duration::from_secs(3_600);
        assert_eq!(lessons.apply(node, later), strict);
        let over = now + Duration::from_secs(3_661);
        assert_eq!(lessons.apply(node, over), node);
    }
}
