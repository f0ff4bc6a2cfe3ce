//! Who this edge is to servers: one instance, and what they gave it to prove that with.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use grpc_multiplexer_process::HostPort;
use rand::Rng as _;
use tokio::sync::SetOnce;

use crate::dial::Introduction;

/// One instance of an edge. Its id stays for the life of the process; tokens come with every tunnel, and one that a
/// server gave to any of the slots proves to that server that the others belong to the same instance.
pub(super) struct Identity {
    instance_id: [u8; 16],
    /// What the server behind each address gave last.
    tokens: Mutex<HashMap<HostPort, Vec<u8>>>,
    welcomed: SetOnce<()>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // All of it is secret.
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Identity {
    pub(super) fn new() -> Self {
        Self {
            instance_id: rand::rng().random(),
            tokens: Mutex::default(),
            welcomed: SetOnce::new(),
        }
    }

    /// How a slot introduces itself to `server`.
    pub(super) fn introduce(&self, server: &HostPort, slot: u32) -> Introduction {
        Introduction {
            instance_id: self.instance_id.to_vec(),
            resume_token: self.lock().get(server).cloned().unwrap_or_default(),
            slot,
        }
    }

    /// `server` took a tunnel and gave `token`, or none.
    pub(super) fn welcomed(&self, server: &HostPort, token: Vec<u8>) {
        if token.is_empty() {
            self.lock().remove(server);
        } else {
            self.lock().insert(server.clone(), token);
        }
        // Once is enough.
        let _ = self.welcomed.set(());
    }

    /// Waits until some server took a tunnel. Further slots have nothing to prove themselves with before.
    pub(super) async fn first_welcome(&self) {
        self.welcomed.wait().await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<HostPort, Vec<u8>>> {
        // A panic while the lock is held leaves a map that is still whole.
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
