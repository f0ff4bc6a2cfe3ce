//! Waiting for a moment that may never come.

use std::future::pending;

use tokio::time::{Instant, sleep_until};

/// That moment, or never.
///
/// # Cancel safety
///
/// Cancel-safe.
pub(crate) async fn reached(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}
