//! The file of a private key.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::Ed25519KeyPair;

use super::fields::Fields;
use super::{KIND, SshPublicKey, SshPublicKeyError};

pub(super) const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
pub(super) const END: &str = "-----END OPENSSH PRIVATE KEY-----";
pub(super) const MAGIC: &[u8] = b"openssh-key-v1\0";
/// The name of the cipher where there is none.
pub(super) const PLAIN: &[u8] = b"none";
/// What the secret part is filled up to a multiple of, where there is no cipher.
pub(super) const BLOCK: usize = 8;

/// An Ed25519 private key. Clones share it; two are equal when their public keys are. Its `Debug` does not show it.
///
/// It is read from the text of a file that `ssh-keygen -t ed25519 -N ''` made.
#[derive(Clone)]
pub struct SshPrivateKey {
    pair: Arc<Ed25519KeyPair>,
    public: SshPublicKey,
}

/// The text is no Ed25519 private key that can be used. Nothing of it is in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SshPrivateKeyError {
    /// Not the format.
    #[error(
        "this is no private key in OpenSSH's format; make one by: ssh-keygen -t ed25519 -N '' -f FILE"
    )]
    Missing,
    /// The other file of the two.
    #[error("this is a public key; the private one is in the file of this name without .pub")]
    Public,
    /// Under a passphrase.
    #[error(
        "the key has a passphrase, which nobody is there to type; take it off by: ssh-keygen -p -N '' -f FILE"
    )]
    Encrypted,
    /// Of another kind.
    #[error(
        "the key is of another kind than Ed25519; make one by: ssh-keygen -t ed25519 -N '' -f FILE"
    )]
    OtherKind,
    /// Cut off, or with wrong bytes in it.
    #[error("the key is not whole; copy the file anew")]
    Broken,
}

use SshPrivateKeyError as Error;

impl SshPrivateKey {
    /// The key that others know it by.
    #[must_use]
    pub fn public(&self) -> &SshPublicKey {
        &self.public
    }

    /// A signature of `message`: 64 bytes.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }

    /// The one key in what the base64 of a file says.
    fn of_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let bytes = bytes.strip_prefix(MAGIC).ok_or(Error::Broken)?;
        let mut fields = Fields::of(bytes);
        let mut string = || fields.string().ok_or(Error::Broken);
        let (cipher, _kdf, _kdf_options) = (string()?, string()?, string()?);
        if cipher != PLAIN {
            return Err(Error::Encrypted);
        }
        if fields.number() != Some(1) {
            return Err(Error::Broken);
        }
        let public = fields.string().ok_or(Error::Broken)?;
        let public = SshPublicKey::of_blob(public)?;
        let secret = fields.string().filter(|_| fields.are_over());
        let pair = pair(secret.ok_or(Error::Broken)?, &public).ok_or(Error::Broken)?;
        Ok(Self {
            pair: Arc::new(pair),
            public,
        })
    }
}

/// The key in the secret part of a file.
fn pair(secret: &[u8], public: &SshPublicKey) -> Option<Ed25519KeyPair> {
    let mut fields = Fields::of(secret);
    // Two of the same, to see whether it was decrypted right.
    let is_whole = fields.number()? == fields.number()?
        && fields.string()? == KIND.as_bytes()
        && fields.string()? == public.bytes();
    let (seed, again) = fields.string()?.split_at_checked(32)?;
    let _comment = fields.string()?;
    let filling = fields.rest();
    let is_filled = filling.len() < BLOCK
        && secret.len().is_multiple_of(BLOCK)
        && filling.iter().zip(1..).all(|(byte, at)| *byte == at);
    let is_whole = is_whole && again == public.bytes() && is_filled;
    // It checks that one is of the other.
    let pair = Ed25519KeyPair::from_seed_and_public_key(seed, public.bytes());
    pair.ok().filter(|_| is_whole)
}

impl FromStr for SshPrivateKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim_ascii();
        let Some(body) = text.strip_prefix(BEGIN) else {
            let is_public = SshPublicKey::of_words(&mut text.split_ascii_whitespace()).is_ok();
            return Err(if is_public {
                Error::Public
            } else {
                Error::Missing
            });
        };
        let body = body.strip_suffix(END).ok_or(Error::Broken)?;
        let base64: String = body.split_ascii_whitespace().collect();
        let bytes = STANDARD.decode(base64).map_err(|_| Error::Broken)?;
        Self::of_bytes(&bytes)
    }
}

impl From<SshPublicKeyError> for Error {
    fn from(error: SshPublicKeyError) -> Self {
        match error {
            SshPublicKeyError::OtherKind => Self::OtherKind,
            SshPublicKeyError::Broken => Self::Broken,
        }
    }
}

impl PartialEq for SshPrivateKey {
    fn eq(&self, other: &Self) -> bool {
        self.public == other.public
    }
}

impl Eq for SshPrivateKey {}

impl fmt::Debug for SshPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SshPrivateKey").field(&self.public).finish()
    }
}
