//! Who shows wrong credentials again and again is answered late.
//!
//! Only a no is late: who shows the right credential behind the same address never waits for one that does not. A no that
//! waits keeps its place, of which there are only so many: a stranger's among the newcomers, a known edge's among the tunnels,
//! a call's on its connection. So who guesses on many connections at once gets no more of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::proxy::crowd::host;

/// Over this time failures are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// As many are answered at once.
const FREE: u32 = 5;
/// How long the answer to another one waits: less than an edge waits for it.
const LATE: Duration = Duration::from_secs(2);
/// Addresses that are counted. Where there are more, all wait.
const ADDRESSES: usize = 4096;

/// The addresses from which wrong credentials came of late.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<HashMap<IpAddr, Count>>);

#[derive(Debug)]
struct Count {
    since: Instant,
    failures: u32,
}

impl Failures {
    /// Another one came from there. How long its answer is to wait.
    pub(crate) fn another(&self, from: IpAddr) -> Duration {
        let from = host(from);
        let now = Instant::now();
        // A panic while the lock is held leaves counts that are still whole.
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= ADDRESSES && !counts.contains_key(&from) {
            counts.retain(|_, count| now - count.since < WINDOW);
            if counts.len() >= ADDRESSES {
                return LATE;
            }
        }
        let fresh = Count {
            since: now,
            failures: 0,
        };
        let count = counts.entry(from).or_insert(fresh);
        if now - count.since >= WINDOW {
            (count.since, count.failures) = (now, 0);
        }
        count.failures += 1;
        if count.failures > FREE {
            LATE
        } else {
            Duration::ZERO
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn waits(failures: &Failures, from: &str) -> bool {
        !failures.another(from.parse().unwrap()).is_zero()
    }

    #[tokio::test(start_paused = true)]
    async fn after_five_in_a_minute_answers_wait_and_only_there() {
        let failures = Failures::default();
        for _ in 0..FREE {
            assert!(!waits(&failures, "192.0.2.1"));
        }
        assert!(waits(&failures, "192.0.2.1"));
        assert!(waits(&failures, "::ffff:192.0.2.1"));
        assert!(!waits(&failures, "192.0.2.2"));
        advance(WINDOW).await;
        assert!(!waits(&failures, "192.0.2.1"));
    }

    #[tokio::test(start_paused = true)]
    async fn where_too_many_addresses_fail_all_wait_and_nothing_grows() {
        let failures = Failures::default();
        let address = |number: usize| IpAddr::V4((0x0a00_0000 + number as u32).into());
        for number in 0..ADDRESSES {
            assert!(failures.another(address(number)).is_zero());
        }
        assert!(!failures.another(address(ADDRESSES)).is_zero());
        assert!(failures.another(address(1)).is_zero());
        advance(WINDOW).await;
        assert!(failures.another(address(ADDRESSES)).is_zero());
        assert_eq!(failures.0.lock().unwrap().len(), 1);
    }
}
