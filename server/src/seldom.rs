//! Something that may happen often, and is said once a minute.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Between two mentions.
const SILENCE: Duration = Duration::from_secs(60);

/// How often something happened since it was said last.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<Count>);

#[derive(Debug, Default)]
struct Count {
    said: Option<Instant>,
    since: u64,
}

impl Seldom {
    /// It happened again. How often it did since it was said last, if it is time to say so.
    pub(crate) fn again(&self) -> Option<u64> {
        // A panic while the lock is held leaves a count that is still whole.
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        count.since += 1;
        if count.said.is_some_and(|said| said.elapsed() < SILENCE) {
            return None;
        }
        count.said = Some(Instant::now());
        Some(std::mem::take(&mut count.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_said_once_a_minute_and_nothing_is_forgotten() {
        let seldom = Seldom::default();
        assert_eq!(seldom.again(), Some(1));
        assert_eq!(seldom.again(), None);
        assert_eq!(seldom.again(), None);
        tokio::time::advance(SILENCE).await;
        assert_eq!(seldom.again(), Some(3));
    }
}
