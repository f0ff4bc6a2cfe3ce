//! Tokens that were good lately, so that a caller's token is not checked anew with each call.
//!
//! What is kept is what was verified, by the SHA-256 of the text. Whether it still holds is asked each time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Verified;
use crate::credential::Digest;

/// Tokens that are kept. One that is not is checked again: tens of microseconds.
pub(super) const MOST: usize = 1024;

/// The tokens of one side.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<HashMap<Digest, Arc<Verified>>>);

impl Cache {
    pub(super) fn get(&self, token: &Digest) -> Option<Arc<Verified>> {
        self.with(|tokens| tokens.get(token).cloned())
    }

    /// Keeps one, in the place of any other where there are too many.
    pub(super) fn put(&self, token: Digest, verified: Arc<Verified>) {
        self.with(|tokens| {
            if tokens.len() >= MOST
                && let Some(any) = tokens.keys().next().copied()
            {
                tokens.remove(&any);
            }
            tokens.insert(token, verified);
        });
    }

    pub(super) fn forget(&self, token: &Digest) {
        self.with(|tokens| tokens.remove(token));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.with(|tokens| tokens.len())
    }

    fn with<T>(&self, look: impl FnOnce(&mut HashMap<Digest, Arc<Verified>>) -> T) -> T {
        // A panic while the lock is held leaves a table that is still whole.
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
