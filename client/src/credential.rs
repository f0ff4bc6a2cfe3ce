//! What an edge shows to servers of who it is.

use grpc_multiplexer_process::SshPrivateKey;
use grpc_multiplexer_tunnel::KEY_SCHEME;
use grpc_multiplexer_tunnel::message::Auth;

use crate::EdgeToken;

/// A credential. Its `Debug` shows no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credential {
    /// What is shown is the secret.
    Token(EdgeToken),
    /// What is shown is a public key; the secret signs challenges.
    Key(SshPrivateKey),
}

impl Credential {
    /// As a hello shows it.
    pub(crate) fn auth(&self) -> Auth {
        match self {
            Self::Token(token) => token.auth(),
            Self::Key(key) => Auth {
                scheme: KEY_SCHEME.to_owned(),
                data: key.public().bytes().to_vec(),
            },
        }
    }

    /// Whether whoever reads what is shown can show it too.
    pub(crate) fn is_secret(&self) -> bool {
        match self {
            Self::Token(_) => true,
            Self::Key(_) => false,
        }
    }

    /// A signature, where the credential is one that signs.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Token(_) => None,
            Self::Key(key) => Some(key.sign(message)),
        }
    }
}
