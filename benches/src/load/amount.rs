//! How much of a load is made.

use std::time::Duration;

use tokio::time::Instant;

/// An end of a load.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Amount {
    /// As much as there is time for.
    Time(Duration),
    /// So many by each that makes any.
    Count(usize),
}

impl Amount {
    /// Whether there is to be one more after so many.
    pub(super) fn has_more(self, since: Instant, made: usize) -> bool {
        match self {
            Self::Time(time) => since.elapsed() < time,
            Self::Count(count) => made < count,
        }
    }
}

impl From<Duration> for Amount {
    fn from(time: Duration) -> Self {
        Self::Time(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_amount_ends_by_number_or_by_time() {
        let (since, time) = (Instant::now(), Duration::from_millis(10));
        let more = |made| Amount::Count(2).has_more(since, made);
        assert!(more(1) && !more(2));
        assert!(Amount::from(time).has_more(since, 1_000));
        tokio::time::advance(time).await;
        assert!(!Amount::from(time).has_more(since, 0) && more(0));
    }
}
