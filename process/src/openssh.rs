//! Ed25519 keys in OpenSSH's formats, as `ssh-keygen -t ed25519 -N ''` writes them.
//!
//! Nothing else is read: keys of no other kind, and none under a passphrase. *Source:* RFC 8709 for keys and signatures,
//! RFC 4251, section 5, for the fields that they are written in, and OpenSSH's `PROTOCOL.key` for the file of a private key.

mod fields;
mod made;
mod private;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, UnparsedPublicKey};

use fields::Fields;

pub use made::SshKeyFileError;
pub use private::{SshPrivateKey, SshPrivateKeyError};

/// What the one kind of key is called.
const KIND: &str = "ssh-ed25519";

/// An Ed25519 public key. `Display` and `Debug` give its fingerprint, as `ssh-keygen -l` does.
///
/// ```
/// use grpc_multiplexer_process::SshPublicKey;
///
/// let words = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICQAP4F+ecyaQ/8wO54/+HqSz1Mk42Xesq7zTyaXAJN5";
/// let key = SshPublicKey::of_words(&mut words.split(' '))?;
/// assert_eq!(key.to_string(), "SHA256:W4oz2jOmfOIezHU/tKZgyKpO5VuYMnwGyRalR8AlaOU");
/// # Ok::<(), grpc_multiplexer_process::SshPublicKeyError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SshPublicKey([u8; 32]);

/// The words are no Ed25519 public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SshPublicKeyError {
    /// Of another kind.
    #[error(
        "its key is of another kind than {KIND}; have one made by: ssh-keygen -t ed25519 -N '' -f FILE"
    )]
    OtherKind,
    /// Not what stands behind the name of its kind.
    #[error("its key is not whole; copy all of it from its .pub file")]
    Broken,
}

impl SshPublicKey {
    /// The name of its kind, with which its words begin.
    pub const KIND: &str = KIND;

    /// Takes the two words of a key off the front of `words`: its kind, and base64.
    ///
    /// # Errors
    ///
    /// When they are none.
    pub fn of_words<'a>(
        words: &mut impl Iterator<Item = &'a str>,
    ) -> Result<Self, SshPublicKeyError> {
        if words.next() != Some(KIND) {
            return Err(SshPublicKeyError::OtherKind);
        }
        let base64 = words.next().ok_or(SshPublicKeyError::Broken)?;
        let blob = STANDARD.decode(base64);
        Self::of_blob(&blob.map_err(|_| SshPublicKeyError::Broken)?)
    }

    /// Reads what the base64 says.
    fn of_blob(blob: &[u8]) -> Result<Self, SshPublicKeyError> {
        let mut fields = Fields::of(blob);
        let kind = fields.string().ok_or(SshPublicKeyError::Broken)?;
        if kind != KIND.as_bytes() {
            return Err(SshPublicKeyError::OtherKind);
        }
        let key = fields.string().and_then(|key| key.try_into().ok());
        key.filter(|_| fields.are_over())
            .map(Self)
            .ok_or(SshPublicKeyError::Broken)
    }

    /// Its kind and base64, as [`of_words`](Self::of_words) takes them.
    #[must_use]
    pub fn words(&self) -> String {
        format!("{KIND} {}", STANDARD.encode(self.blob()))
    }

    fn blob(&self) -> Vec<u8> {
        [KIND.as_bytes(), &self.0].map(fields::string).concat()
    }

    /// Its 32 bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether `signature` is one of `message` by the private key.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, &self.0);
        key.verify(message, signature).is_ok()
    }
}

/// One without its kind and base64.
impl From<[u8; 32]> for SshPublicKey {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for SshPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = digest(&SHA256, &self.blob());
        write!(f, "SHA256:{}", STANDARD_NO_PAD.encode(digest))
    }
}

impl fmt::Debug for SshPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
