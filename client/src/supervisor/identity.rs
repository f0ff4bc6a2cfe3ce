//! Who this edge is to servers: one instance, and what they gave it to prove that with.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use grpc_multiplexer_process::HostPort;
use rand::Rng as _;
use tokio::sync::SetOnce;

use crate::dial::{Introduction, Proof};

/// Longest token that is kept. Ours have 16 to 32 bytes; in an upgrade one has to fit a line.
const LONGEST_TOKEN: usize = 256;
/// Processes behind one address whose tokens are kept. In an upgrade there are two, and the older one goes on where the
/// newer one fails.
const PROCESSES: usize = 2;

/// One instance of an edge. Its id stays for the life of the process; tokens come with every tunnel, and one that a
/// server gave to any of the slots proves to that server that the others belong to the same instance.
#[derive(Clone)]
pub(crate) struct Identity {
    instance_id: [u8; 16],
    /// What the processes behind each address gave last; the one that is shown first.
    proofs: Arc<Mutex<HashMap<HostPort, VecDeque<Proof>>>>,
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
            proofs: Arc::default(),
            welcomed: Arc::default(),
        }
    }

    /// What another process needs to be the same instance, in lines of text.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("instance {}", hex(&self.instance_id))];
        let proofs = self.lock();
        let shown = proofs
            .iter()
            .filter_map(|(server, proofs)| Some((server, proofs.front()?)));
        lines.extend(shown.map(|(server, proof)| format!("token {server} {}", hex(&proof.token))));
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
            let (server, token) = (server.parse().ok()?, unhex(token)?);
            identity.keep(
                &server,
                Proof {
                    token,
                    ..Proof::default()
                },
            );
        }
        Some(identity)
    }

    /// How a slot introduces itself to `server`.
    pub(super) fn introduce(&self, server: &HostPort, slot: u32) -> Introduction {
        let proofs = self.lock();
        let shown = proofs.get(server).and_then(VecDeque::front);
        Introduction {
            instance_id: self.instance_id.to_vec(),
            resume_token: shown.map(|proof| proof.token.clone()).unwrap_or_default(),
            slot,
        }
    }

    /// `server` took a tunnel and gave `proof`.
    pub(super) fn welcomed(&self, server: &HostPort, proof: Proof) {
        self.keep(server, proof);
        // Once is enough.
        let _ = self.welcomed.set(());
    }

    /// `server` takes this instance for another one. Shows it the other proof from now on, if there is one.
    pub(super) fn not_known_to(&self, server: &HostPort) -> bool {
        let mut proofs = self.lock();
        let Some(kept) = proofs.get_mut(server) else {
            return false;
        };
        kept.rotate_left(1);
        kept.len() > 1
    }

    fn keep(&self, server: &HostPort, proof: Proof) {
        let mut proofs = self.lock();
        let kept = proofs.entry(server.clone()).or_default();
        kept.retain(|older| older.server_id != proof.server_id);
        // One that is far longer than any that proves something is not worth keeping.
        if (1..=LONGEST_TOKEN).contains(&proof.token.len()) {
            kept.push_front(proof);
            kept.truncate(PROCESSES);
        }
    }

    /// Waits until some server took a tunnel. Further slots have nothing to prove themselves with before.
    pub(super) async fn first_welcome(&self) {
        self.welcomed.wait().await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<HostPort, VecDeque<Proof>>> {
        // A panic while the lock is held leaves a map that is still whole.
        self.proofs.lock().unwrap_or_else(PoisonError::into_inner)
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
        identity.welcomed(&here, proof("of a", &[1]));
        identity.welcomed(&here, proof("of b", &[0, 0xab, 0xff]));
        let read = Identity::read(&identity.lines()).unwrap();
        for (server, slot) in [(&here, 0), (&there, 3)] {
            assert!(read.introduce(server, slot) == identity.introduce(server, slot));
        }
    }

    fn proof(server_id: &str, token: &[u8]) -> Proof {
        Proof {
            server_id: server_id.to_owned(),
            token: token.to_vec(),
        }
    }

    #[test]
    fn the_newest_token_is_shown_and_that_of_the_process_before_where_it_is_not_known() {
        let identity = Identity::new();
        let server = "localhost:1".parse().unwrap();
        let shown = || identity.introduce(&server, 0).resume_token;
        assert!(!identity.not_known_to(&server));
        for token in [b"a0", b"a1"] {
            identity.welcomed(&server, proof("a", token));
            assert_eq!(shown(), token);
            // There is no other.
            assert!(!identity.not_known_to(&server));
        }
        identity.welcomed(&server, proof("b", b"b0"));
        for token in [b"b0", b"a1", b"b0"] {
            assert_eq!(shown(), token);
            assert!(identity.not_known_to(&server));
        }
        // Two are kept: that of `a` was shown last.
        identity.welcomed(&server, proof("c", b"c0"));
        identity.not_known_to(&server);
        assert_eq!(shown(), b"a1");
        // And none of a process that gives none.
        identity.welcomed(&server, proof("a", b""));
        assert_eq!(shown(), b"c0");
        identity.welcomed(&server, proof("c", &[0; LONGEST_TOKEN + 1]));
        assert_eq!(shown(), b"");
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
