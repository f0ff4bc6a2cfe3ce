//! Whether a process should get work, with the reasons why not.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// The reasons why a process is not ready; without one, it is. Clones share them.
///
/// ```
/// use grpc_multiplexer_process::Readiness;
///
/// let readiness = Readiness::default();
/// assert!(readiness.is_ready());
/// readiness.set("draining", true);
/// assert!(!readiness.is_ready());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    reasons: Arc<Mutex<BTreeSet<&'static str>>>,
    /// Cancelled when another process answers in place of this one.
    left: CancellationToken,
}

impl Readiness {
    /// Whether `reason` keeps the process from being ready from now on.
    pub fn set(&self, reason: &'static str, holds: bool) {
        let mut reasons = self.lock();
        if holds {
            reasons.insert(reason);
        } else {
            reasons.remove(reason);
        }
    }

    /// Whether there is no reason against it.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.lock().is_empty()
    }

    /// Another process goes on with the same sockets, a new one or the one before: it is the one to be asked from now on.
    pub fn leave_to_another(&self) {
        self.left.cancel();
    }

    /// Cancelled once nobody is to be answered here any more.
    pub(super) fn left(&self) -> &CancellationToken {
        &self.left
    }

    /// All reasons now, sorted.
    pub(super) fn reasons(&self) -> Vec<&'static str> {
        self.lock().iter().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<&'static str>> {
        // A panic while the lock is held leaves a set that is still whole.
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
