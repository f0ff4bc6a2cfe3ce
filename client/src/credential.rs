//! What an edge shows to servers of who it is.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use grpc_multiplexer_process::{SshKeyFileError, SshPrivateKey};
use grpc_multiplexer_tunnel::KEY_SCHEME;
use grpc_multiplexer_tunnel::message::Auth;
use tokio::task::spawn_blocking;

use crate::EdgeToken;

/// A credential. Its `Debug` shows no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Where it is to be, while it is not known.
    file: PathBuf,
}

impl Credential {
    /// Has the key made, where there is none yet. It is on the disk then, so that what a server takes is never lost.
    pub(crate) async fn ready(&self) -> Result<(), SshKeyFileError> {
        match self {
            Self::Token(_) => Ok(()),
            Self::Key { key, .. } => key.made().await,
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

impl OwnKey {
    /// One that is in `file`, or is to be.
    pub(crate) fn to_be_made(file: PathBuf) -> Self {
        Self {
            known: Arc::default(),
            file,
        }
    }

    async fn made(&self) -> Result<(), SshKeyFileError> {
        if self.known.get().is_some() {
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
        Self {
            known: Arc::new(key.into()),
            file: PathBuf::new(),
        }
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
