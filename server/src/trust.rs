//! Who was let in with a certificate stays while the certificate is trusted.

use grpc_multiplexer_process::{AcceptError, ListenerTls, Shown};
use tokio::time::sleep;

use crate::settings::{Live, Settings};

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
            () = sleep(shown.next_look()) => {}
        }
    }
}
