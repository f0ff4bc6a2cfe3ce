//! Whether the peer lives, asked now and not when the next heartbeat is due.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::heartbeat::STALL;
use super::{Session, silence};

/// How often the answer is looked for. Reading bytes is to cost no more for the rare case that somebody waits for one.
/// The first look is a step after the question: whoever just died may have a last byte under way, and its end is right
/// behind.
const STEP: Duration = Duration::from_millis(50);

impl Session {
    /// Asks the peer for a sign of life, and waits for one: any byte from here on. False when none came within `limit`
    /// or the tunnel ended.
    ///
    /// A peer of the original's cannot be asked, but its yamux pings every 30 s. It is judged at once: it lives unless
    /// such a ping is overdue by `limit`.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn probe(&self, limit: Duration) -> bool {
        if self.is_legacy() {
            let silent = self.shared.activity.last_received().elapsed();
            return !self.is_closed() && silent <= silence::PING + limit;
        }
        loop {
            let asked = Instant::now();
            self.shared.activity.ask();
            let answered = timeout(limit, self.heard_since(asked)).await;
            // A wait that took longer means that this very process stood still: what came meanwhile is still to be read.
            if answered.is_ok() || asked.elapsed() <= limit + STALL {
                return answered.unwrap_or(false);
            }
        }
    }

    /// True at the next byte, false at the tunnel's end.
    async fn heard_since(&self, asked: Instant) -> bool {
        let mut looks = interval_at(asked + STEP, STEP);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            if self.is_closed() {
                return false;
            }
            if self.shared.activity.last_received() >= asked {
                return true;
            }
        }
    }
}
