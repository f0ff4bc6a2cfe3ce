//! Who was let in with a certificate stays while the certificate is trusted.

use std::time::Duration;

use grpc_multiplexer_process::{AcceptError, ListenerTls, Shown};
use tokio::time::sleep;

use crate::settings::{Live, Settings};

/// A certificate is looked at this often at least, and no more often than this: a clock may be set.
const LOOK: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60 * 60));

/// Waits until who showed this would not be let in any more by the listener whose TLS `of` finds: it is revoked, its authority
/// is gone, or its time is over. Says why.
pub(crate) async fn lost(
    shown: &Shown,
    settings: &Live,
    of: fn(&Settings) -> Option<&ListenerTls>,
) -> AcceptError {
    let (soonest, latest) = LOOK;
    loop {
        let left = shown.left().unwrap_or(latest).clamp(soonest, latest);
        tokio::select! {
            biased;
            why = settings.until(|settings| of(settings)?.still_trusts(shown).err()) => return why,
            () = sleep(left) => {}
        }
    }
}
