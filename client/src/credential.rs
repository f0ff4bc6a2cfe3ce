//! What an edge shows to servers of who it is.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use grpc_multiplexer_process::{SshKeyFileError, SshPrivateKey};
use grpc_multiplexer_tunnel::KEY_SCHEME;
use grpc_multiplexer_tunnel::message::Auth;
use tokio::task::spawn_blocking;
use tracing::warn;

use crate::EdgeToken;

/// A credential. Its `Debug` shows no secret.
#[derive(Debug, Clone)]
pub(crate) enum Credential {
    /// What is shown is the secret.
    Token(EdgeToken),
    /// What is shown is a public key; the secret signs challenges. A server that does not know the key may take it for a
    /// token.
    Key {
        key: OwnKey,
        enrolment: Option<EdgeToken>,
    },
}

/// A key that may still be to be made. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct OwnKey {
    known: Arc<OnceLock<SshPrivateKey>>,
    /// Where it is, or is to be; empty where the process has it from elsewhere.
    file: PathBuf,
}

/// The key that an edge showed last. When its file goes, the edge goes on with it: another key would be nobody's, and the
/// token that this one enrolled with is spent. Only who starts the edge without the file has a new one made. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeptKey(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    key: Option<OwnKey>,
    /// Whether it was said that its file is gone.
    is_missed: bool,
}

impl Credential {
    /// Has the key made, where there is none yet. It is on the disk then, so that what a server takes is never lost.
    pub(crate) async fn ready(&self) -> Result<(), SshKeyFileError> {
        match self {
            Self::Token(_) => Ok(()),
            Self::Key { key, .. } => key.made().await,
        }
    }

    /// Where a key is to be made, if there is none yet.
    pub(crate) fn to_be_made(&self) -> Option<&Path> {
        match self {
            Self::Key { key, .. } if !key.is_known() => Some(&key.file),
            Self::Token(_) | Self::Key { .. } => None,
        }
    }

    /// As a hello shows it, once it is [ready](Self::ready).
    pub(crate) fn auth(&self) -> Option<Auth> {
        Some(match self {
            Self::Token(token) => token.auth(),
            Self::Key { key, enrolment } => Auth {
                scheme: KEY_SCHEME.to_owned(),
                data: key.known.get()?.public().bytes().to_vec(),
                enrolment_token: enrolment.as_ref().map(EdgeToken::bytes).unwrap_or_default(),
            },
        })
    }

    /// Whether whoever reads what is shown can show it too.
    pub(crate) fn is_secret(&self) -> bool {
        match self {
            Self::Token(_) => true,
            Self::Key { enrolment, .. } => enrolment.is_some(),
        }
    }

    /// A signature, where the credential is one that signs.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Token(_) => None,
            Self::Key { key, .. } => Some(key.known.get()?.sign(message)),
        }
    }
}

/// Two are the same when a server that took the one takes the other: of a token that is exchanged for a key it asks nothing
/// once it has the key.
impl PartialEq for Credential {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Token(one), Self::Token(other)) => one == other,
            (Self::Key { key: one, .. }, Self::Key { key: other, .. }) => one == other,
            _ => false,
        }
    }
}

impl KeptKey {
    /// What is to be shown where the options say `credential`.
    pub(crate) fn in_place_of(&self, mut credential: Credential) -> Credential {
        let Credential::Key { key, .. } = &mut credential else {
            return credential;
        };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_missing = !key.is_known();
        let lost = kept
            .key
            .as_ref()
            .filter(|kept| is_missing && kept.file == key.file);
        let Some(lost) = lost.cloned() else {
            kept.is_missed = false;
            return credential;
        };
        *key = lost;
        if !std::mem::replace(&mut kept.is_missed, true) {
            let file = key.file.display();
            warn!(
                %file,
                "the key's file is gone, and the edge goes on with the key that was there: put it back, or start the edge \
                 again to have a new one made"
            );
        }
        credential
    }

    /// `credential` is shown.
    pub(crate) fn keep(&self, credential: &Credential) {
        if let Credential::Key { key, .. } = credential {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.key = Some(key.clone());
        }
    }
}

impl OwnKey {
    /// One that is in `file`.
    pub(crate) fn of(key: SshPrivateKey, file: PathBuf) -> Self {
        let known = Arc::new(key.into());
        Self { known, file }
    }

    /// Whether it is there, and not still to be made.
    pub(crate) fn is_known(&self) -> bool {
        self.known.get().is_some()
    }

    /// One that is to be in `file`.
    pub(crate) fn to_be_made(file: PathBuf) -> Self {
        Self {
            known: Arc::default(),
            file,
        }
    }

    async fn made(&self) -> Result<(), SshKeyFileError> {
        if self.is_known() {
            return Ok(());
        }
        let Self { known, file } = self.clone();
        let made = spawn_blocking(move || {
            let key = SshPrivateKey::read_or_make(&file)?;
            // Whoever was faster found the same in the file.
            let _ = known.set(key);
            Ok(())
        });
        // A panic is gone on with.
        made.await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }
}

impl From<SshPrivateKey> for OwnKey {
    fn from(key: SshPrivateKey) -> Self {
        Self::of(key, PathBuf::new())
    }
}

/// Two that are known are equal when the keys are.
impl PartialEq for OwnKey {
    fn eq(&self, other: &Self) -> bool {
        match (self.known.get(), other.known.get()) {
            (None, None) => self.file == other.file,
            (one, other) => one == other,
        }
    }
}

impl Eq for OwnKey {}
