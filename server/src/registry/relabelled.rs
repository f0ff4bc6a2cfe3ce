//! Who is to look again because an edge has other labels: calls that run because of them.

use std::hash::{BuildHasher as _, RandomState};

use grpc_multiplexer_tunnel::ClientId;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Ids share so many places, so that no call costs an entry of its own. Whoever is told of another id looks once for nothing.
const PLACES: usize = 64;

#[derive(Debug)]
pub(crate) struct Relabelled {
    places: [Notify; PLACES],
    hasher: RandomState,
}

impl Default for Relabelled {
    fn default() -> Self {
        Self {
            places: std::array::from_fn(|_| Notify::new()),
            hasher: RandomState::new(),
        }
    }
}

impl Relabelled {
    /// Tells whoever waits that `id` has other labels than were known of it, or any where nothing was known.
    pub(super) fn tell(&self, id: &ClientId) {
        self.place(id).notify_waiters();
    }

    /// Waits until `id` may have other labels: from the moment on in which this is called.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub(crate) fn wait(&self, id: &ClientId) -> Notified<'_> {
        self.place(id).notified()
    }

    fn place(&self, id: &ClientId) -> &Notify {
        let hash = self.hasher.hash_one(id) % PLACES as u64;
        &self.places[usize::try_from(hash).expect("it is less than PLACES")]
    }
}
