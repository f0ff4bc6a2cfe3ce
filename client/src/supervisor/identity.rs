//! Who this edge is to servers: one instance, and what they gave it to prove that with.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use grpc_multiplexer_process::HostPort;
use rand::Rng as _;
use tokio::sync::SetOnce;

use crate::dial::Introduction;

/// Longest token that is kept. Ours have 16 to 32 bytes; in an upgrade one has to fit a line.
const LONGEST_TOKEN: usize = 256;

/// One instance of an edge. Its id stays for the life of the process; tokens come with every tunnel, and one that a
/// server gave to any of the slots proves to that server that the others belong to the same instance.
#[derive(Clone)]
pub(crate) struct Identity {
    instance_id: [u8; 16],
    /// What the server behind each address gave last.
    tokens: Arc<Mutex<HashMap<HostPort, Vec<u8>>>>,
    welcomed: Arc<SetOnce<()>>,
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
            tokens: Arc::default(),
            welcomed: Arc::default(),
        }
    }

    /// What another process needs to be the same instance, in lines of text.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("instance {}", hex(&self.instance_id))];
        let tokens = self.lock();
        lines.extend(
            tokens
                .iter()
                .map(|(server, token)| format!("token {server} {}", hex(token))),
        );
        lines
    }

    /// What [`lines`](Self::lines) of another process say.
    pub(crate) fn read(lines: &[String]) -> Option<Self> {
        let (instance, tokens) = lines.split_first()?;
        let identity = Self {
            instance_id: unhex(instance.strip_prefix("instance ")?)?
                .try_into()
                .ok()?,
            ..Self::new()
        };
        for line in tokens {
            let (server, token) = line.strip_prefix("token ")?.split_once(' ')?;
            identity.lock().insert(server.parse().ok()?, unhex(token)?);
        }
        Some(identity)
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
        // One that is far longer than any that proves something is not worth keeping.
        if token.is_empty() || token.len() > LONGEST_TOKEN {
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    text.len()
        .is_multiple_of(2)
        .then(|| pairs.map(byte).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_reads_the_same_identity() {
        let identity = Identity::new();
        let [here, there] = ["localhost:1", "[::1]:2"].map(|at| at.parse().unwrap());
        identity.welcomed(&here, vec![0, 0xab, 0xff]);
        let read = Identity::read(&identity.lines()).unwrap();
        for (server, slot) in [(&here, 0), (&there, 3)] {
            assert!(read.introduce(server, slot) == identity.introduce(server, slot));
        }
    }

    #[test]
    fn what_is_no_identity_is_none() {
        let id = format!("instance {}", "0".repeat(32));
        assert!(Identity::read(std::slice::from_ref(&id)).is_some());
        let short = "instance 00".to_owned();
        for wrong in [
            vec![],
            vec![short],
            vec!["instance zz".to_owned()],
            vec![id.clone(), "token localhost:1 0".to_owned()],
            vec![id.clone(), "token nowhere 00".to_owned()],
            vec![id, "more".to_owned()],
        ] {
            assert!(Identity::read(&wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn an_identity_is_not_shown() {
        assert_eq!(format!("{:?}", Identity::new()), "Identity { .. }");
    }
}
