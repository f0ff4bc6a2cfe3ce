//! Waiting for conditions.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, interval, timeout, timeout_at};

/// What anything that is bound to happen may take on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Within this time after a reload everything is gone that it took back: tunnels, calls and watches. As `docs/security.md` says.
pub const CUT: Duration = Duration::from_secs(5);
/// Within this time a file that changed is read without a word to the process, says the same page.
const NOTICED: Duration = Duration::from_secs(4);

/// Something that a process is told, or is to find in a file, and by when it must show.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    by: Instant,
    within: Duration,
}

impl Change {
    /// One of which the process is told now, by a SIGHUP: it must show within [`CUT`].
    #[must_use]
    pub fn signalled() -> Self {
        Self::now(CUT)
    }

    /// One that is in a file by now, without a word to the process: it must be noticed first.
    #[must_use]
    pub fn saved() -> Self {
        Self::now(NOTICED + CUT)
    }

    fn now(within: Duration) -> Self {
        Self {
            by: Instant::now() + within,
            within,
        }
    }

    /// Awaits what must come of it.
    ///
    /// # Panics
    ///
    /// With `what` when it does not come in time.
    pub async fn brings<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        match timeout_at(self.by, future).await {
            Ok(value) => value,
            Err(_) => panic!(
                "did not happen within {:?} after the change: {what}",
                self.within
            ),
        }
    }
}

/// Awaits what must end within [`DEADLINE`].
///
/// # Panics
///
/// With `what` when it does not.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("did not happen within {DEADLINE:?}: {what}"),
    }
}

/// Waits until `condition` gives a value.
///
/// # Panics
///
/// With `what` when it does not within [`DEADLINE`].
pub async fn until<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    within(what, async {
        let mut ticks = interval(Duration::from_millis(10));
        loop {
            ticks.tick().await;
            if let Some(value) = condition().await {
                return value;
            }
        }
    })
    .await
}
