//! When bytes come out of a line.

use std::time::Duration;

use tokio::time::Instant;

/// What may wait before the line: enough that it is never idle while whoever feeds it sleeps.
const AHEAD: Duration = Duration::from_millis(2);
/// What a line may make up for. Bytes that were there while nobody had a processor to take them had their turn on it.
const BEHIND: Duration = Duration::from_millis(2);

/// One direction: bytes go one after the other, and each is under way for the same time.
#[derive(Debug)]
pub(super) struct Line {
    rate: f64,
    delay: Duration,
    /// When all that it took has gone in.
    free: Instant,
}

impl Line {
    /// One of so many bytes a second.
    pub(super) fn new(rate: f64, delay: Duration, now: Instant) -> Self {
        Self {
            rate,
            delay,
            free: now,
        }
    }

    /// Takes bytes that are there now, and says when the last of them comes out.
    pub(super) fn takes(&mut self, now: Instant, bytes: usize) -> Instant {
        let since = now.checked_sub(BEHIND).unwrap_or(now);
        self.free = self.free.max(since) + Duration::from_secs_f64(bytes as f64 / self.rate);
        self.free.max(now) + self.delay
    }

    /// From when on it takes more.
    pub(super) fn takes_more_at(&self) -> Instant {
        self.free.checked_sub(AHEAD).unwrap_or(self.free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn bytes_go_one_after_the_other() {
        let now = Instant::now();
        let mut line = Line::new(1e6, 25 * MS, now);
        assert_eq!(line.takes(now, 10_000), now + 35 * MS);
        assert_eq!(line.takes(now, 1_000), now + 36 * MS);
        assert_eq!(line.takes_more_at(), now + 9 * MS);
    }

    #[test]
    fn an_idle_line_saves_up_little() {
        let now = Instant::now();
        let mut line = Line::new(1e6, 25 * MS, now);
        let later = now + 1_000 * MS;
        assert_eq!(line.takes(later, 1_000), later + 25 * MS);
        assert_eq!(line.takes(later, 10_000), later + 34 * MS);
    }

    #[test]
    fn nothing_is_never_late() {
        let now = Instant::now();
        let mut line = Line::new(1e6, 25 * MS, now);
        assert_eq!(line.takes(now, 0), now + 25 * MS);
    }
}
