//! Who was let in with a certificate stays while the certificate is trusted.

use std::time::Duration;

use grpc_multiplexer_process::{AcceptError, ListenerTls, Shown};
use tokio::time::sleep;

use crate::settings::{Live, Settings};

/// A certificate is looked at no more often than this.
const SOONEST: Duration = Duration::from_secs(1);
/// And this often at least: a clock may be set.
const LATEST: Duration = Duration::from_secs(60 * 60);

/// Waits until who showed this would not be let in any more by the listener whose TLS `of` finds: it is revoked, its authority
/// is gone, or its time is over. Says why.
pub(crate) async fn lost(
    shown: &Shown,
    settings: &Live,
    of: fn(&Settings) -> Option<&ListenerTls>,
) -> AcceptError {
    loop {
        tokio::select! {
            biased;
            why = settings.until(|settings| of(settings)?.still_trusts(shown).err()) => return why,
            () = sleep(next_look(shown.left())) => {}
        }
    }
}

/// When a certificate that is trusted now is to be looked at again, by what it has left. Where nothing is left it is trusted
/// all the same: what has ended is one that it came with, and that nobody needs.
fn next_look(left: Option<Duration>) -> Duration {
    let left = left.filter(|left| !left.is_zero());
    left.unwrap_or(LATEST).clamp(SOONEST, LATEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_looked_at_when_it_ends_and_not_all_the_time_after() {
        let seconds = Duration::from_secs;
        for (left, wanted) in [
            (None, LATEST),
            (Some(seconds(90)), seconds(90)),
            (Some(seconds(86_400)), LATEST),
            (Some(Duration::from_millis(1)), SOONEST),
            (Some(Duration::ZERO), LATEST),
        ] {
            assert_eq!(next_look(left), wanted, "{left:?}");
        }
    }
}
