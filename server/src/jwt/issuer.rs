//! Whom to believe.

use std::fmt;
use std::sync::Arc;

use super::keys::Keys;
use super::{JwtDenied, Verified, WrongKeys};
use crate::url::Url;

/// An issuer of tokens, and for whom they must be. Clones share its keys.
///
/// ```
/// use grpc_multiplexer_server::JwtIssuer;
///
/// let keys = br#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
/// assert!(JwtIssuer::new("https://id.example.org", "grpc-multiplexer", keys).is_ok());
/// ```
#[derive(Debug, Clone)]
pub struct JwtIssuer {
    pub(super) name: String,
    pub(super) audience: String,
    pub(super) keys: KeySource,
}

/// Where an issuer's keys are.
#[derive(Clone)]
pub(super) enum KeySource {
    Here(Arc<Keys>),
    At(Url),
}

impl JwtIssuer {
    /// The issuer whose tokens have this `name` as `iss`, and `audience` among `aud`, and are signed by one of the keys in
    /// `jwks`.
    ///
    /// # Errors
    ///
    /// What is wrong with the keys.
    pub fn new(name: &str, audience: &str, jwks: &[u8]) -> Result<Self, WrongKeys> {
        Ok(Self {
            name: name.to_owned(),
            audience: audience.to_owned(),
            keys: KeySource::Here(Arc::new(Keys::parse(jwks)?)),
        })
    }

    /// From where its keys are to be fetched, if they are.
    pub(crate) fn url(&self) -> Option<&Url> {
        match &self.keys {
            KeySource::Here(_) => None,
            KeySource::At(url) => Some(url),
        }
    }

    /// Whether a token that was good still is one of this issuer's.
    pub(super) fn is_of(&self, token: &Verified) -> Result<(), JwtDenied> {
        token.claims.are_of(&self.name, &self.audience)
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(keys) => write!(f, "{} keys", keys.len()),
            Self::At(url) => write!(f, "{url}"),
        }
    }
}
