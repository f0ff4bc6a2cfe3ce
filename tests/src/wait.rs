//! Waiting for conditions.

use std::future::Future;
use std::time::Duration;

use tokio::time::{interval, timeout};

/// What anything that is bound to happen may take on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

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
