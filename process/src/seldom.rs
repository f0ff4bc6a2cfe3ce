//! What may happen often, and is said once a minute.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info};

/// Between two mentions.
const SILENCE: Duration = Duration::from_secs(60);
/// Different remarks that are said within a [`SILENCE`]: some hold what a peer chose.
const REMARKS: usize = 32;

/// How often something happened since it was said last.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<Count>);

#[derive(Debug, Default)]
struct Count {
    said: Option<Instant>,
    since: u64,
}

impl Seldom {
    /// It happened again. How often it did since it was said last, if it is time to say so.
    pub fn again(&self) -> Option<u64> {
        lock(&self.0).again()
    }
}

impl Count {
    fn again(&mut self) -> Option<u64> {
        self.since += 1;
        if self.is_fresh() {
            return None;
        }
        self.said = Some(Instant::now());
        Some(std::mem::take(&mut self.since))
    }

    fn is_fresh(&self) -> bool {
        self.said.is_some_and(|said| said.elapsed() < SILENCE)
    }
}

/// What is said of strangers, each remark once a minute, and else only for those who look closely: a health check of the
/// wrong kind comes every few seconds.
#[derive(Debug, Default)]
pub struct Remarks(Mutex<HashMap<String, Count>>);

impl Remarks {
    /// Says `what`, with how often that was since it was said last.
    pub fn say(&self, what: impl Display) {
        let what = what.to_string();
        match self.again(&what) {
            Some(times) => info!(times, "{what}"),
            None => debug!("{what}"),
        }
    }

    /// How often `what` was since it was said last, if it is time to say it. For who says it in a form of its own.
    pub fn again(&self, what: &str) -> Option<u64> {
        let mut counts = lock(&self.0);
        if let Some(count) = counts.get_mut(what) {
            return count.again();
        }
        if counts.len() == REMARKS {
            counts.retain(|_, count| count.is_fresh());
        }
        if counts.len() == REMARKS {
            return None;
        }
        counts.entry(what.to_owned()).or_default().again()
    }
}

/// A panic while the lock is held leaves counts that are still whole.
fn lock<T>(counts: &Mutex<T>) -> MutexGuard<'_, T> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
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

    #[tokio::test(start_paused = true)]
    async fn each_remark_is_said_once_a_minute() {
        let remarks = Remarks::default();
        assert_eq!(remarks.again("a"), Some(1));
        assert_eq!(remarks.again("a"), None);
        assert_eq!(remarks.again("b"), Some(1));
        tokio::time::advance(SILENCE).await;
        assert_eq!(remarks.again("a"), Some(2));
    }

    /// Whoever makes up new ones fills neither the log nor the memory.
    #[tokio::test(start_paused = true)]
    async fn of_too_many_remarks_some_are_said() {
        let remarks = Remarks::default();
        let all = || (0..10 * REMARKS).map(|remark| remark.to_string());
        let said = |remark: &String| remarks.again(remark).is_some();
        assert_eq!(all().filter(said).count(), REMARKS);
        tokio::time::advance(SILENCE).await;
        assert!(said(&"something else".to_owned()));
        assert_eq!(all().rev().filter(said).count(), REMARKS - 1);
    }
}
