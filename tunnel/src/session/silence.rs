//! Liveness with a peer of the original's: it has no control stream, but its yamux pings every 30 s.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::Shared;
use super::heartbeat::STALL;
use crate::SessionError;

/// How often a peer of the original's pings.
pub(super) const PING: Duration = Duration::from_secs(30);
/// Silence that ends the tunnel: a ping may take half as long again.
const SILENCE: Duration = Duration::from_secs(45);

/// Waits until the tunnel is to end, and says why.
pub(super) async fn watch(shared: Arc<Shared>) -> SessionError {
    let heard = || shared.activity.last_received();
    let mut awake_since = Instant::now();
    loop {
        if let Some((_, reason)) = shared.close.get() {
            return SessionError::Closed(reason.clone());
        }
        let due = heard().max(awake_since) + SILENCE;
        tokio::select! {
            biased;
            () = shared.activity.nudged() => continue,
            () = sleep_until(due) => {}
        }
        let now = Instant::now();
        if now > due + STALL {
            // This very process stood still: what came meanwhile is still to be read.
            awake_since = now;
        } else if heard() + SILENCE <= now {
            return SessionError::Silent(SILENCE);
        }
    }
}
