//! JSON Web Tokens: texts that an issuer signs, and that say who shows them and until when.
//!
//! Edges show them to get their client ids, callers to be known to the policy; both sides describe an issuer in the same
//! way ([`JwtIssuer`]), and each has a [`Verifier`] of its own, which is the only place that takes a text for a token. What
//! it makes of one is kept ([`Jwt`]), the text is not: when keys or options change, and when the token's time is over, what
//! was kept is looked at again.
//!
//! Signatures are checked by `ring`, which TLS has already. What is read here of a token chooses among keys that are known,
//! and among the algorithms of their kinds; it never brings a key or an algorithm of its own. *Source:* RFC 7515, RFC 7517,
//! RFC 7519, and RFC 8725 for what goes wrong.
//!
//! The parts: `token` (the text), `keys` (JWKS, signatures), `claims` (what it says), `issuer` and `options` (whom to
//! believe), `fetch` (keys from elsewhere), `verifier` and `keeper` (all of it together).

mod cache;
mod claims;
mod fetch;
mod issuer;
mod keeper;
mod keys;
mod options;
#[cfg(test)]
pub(crate) mod signer;
mod token;
mod verifier;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::credential::Digest;
use claims::Claims;
pub use claims::{JwtClaim, JwtClaimError};
pub use issuer::JwtIssuer;
pub(crate) use keeper::KeyFetches;
pub use keys::WrongKeys;
pub(crate) use options::{JwtTerms, read_claim};
use token::ALGORITHMS;
pub(crate) use verifier::Verifier;

/// How far the clocks of issuer and server may be apart: a token is taken so long after its end, and before its beginning.
const LEEWAY: Duration = Duration::from_secs(30);

/// What came of looking at a token.
pub(crate) type Jwt = Result<Arc<Verified>, JwtDenied>;

/// A token that was good when it was looked at. Its `Debug` shows nothing of it.
#[derive(PartialEq, Eq)]
pub(crate) struct Verified {
    claims: Claims,
    /// Which key signed it.
    key: Digest,
    /// When it is over, with [`LEEWAY`], as a time since 1970.
    end: Duration,
}

impl Verified {
    /// What it says under a name.
    pub(crate) fn says<'v>(&'v self, claim: &JwtClaim) -> Vec<&'v str> {
        self.claims.texts(claim)
    }

    /// All that it says, as the text of a JSON object.
    pub(crate) fn claims(&self) -> String {
        self.claims.text()
    }

    /// Whom it is about; empty where it does not say.
    pub(crate) fn subject(&self) -> &str {
        self.claims.subject()
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verified(secret)")
    }
}

/// Why a token is not taken. Nothing of the token is in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JwtDenied {
    #[error("the JWT is longer than {0} bytes")]
    Long(usize),
    #[error("the token looks like a JWT, and is none: {0}")]
    Malformed(&'static str),
    #[error(
        "the JWT is signed in another way than its issuer's keys are for; they can be for {ALGORITHMS}"
    )]
    Algorithm,
    #[error("the JWT is signed by a key that is not among its issuer's")]
    UnknownKey,
    #[error(
        "the issuer's keys could not be fetched so far, so that no JWT can be checked; the server's log says why"
    )]
    NoKeys,
    #[error("the signature of the JWT is wrong")]
    Signature,
    #[error("the JWT is of another issuer (iss) than the server takes")]
    Issuer,
    #[error("the JWT is for another audience (aud) than this server")]
    Audience,
    #[error("the JWT has no end (exp), and none is taken for ever")]
    NoEnd,
    #[error("the JWT has expired (exp)")]
    Expired,
    #[error("the time of the JWT has not come yet (nbf)")]
    TooEarly,
}
