//! Who an edge is: what it shows, and which client ids that gives it.
//!
//! What an edge shows, in whatever way, is its [`Credential`]. What the options say of credentials is [`Grants`], and
//! [`Grants::admit`] is the only place that says whether a credential has a client id. It is asked before anything is
//! looked up for the edge: who may not have an id learns nothing of it.

mod certificate;
mod enrolment;
mod failures;
mod grants;
mod jwt;
mod keys;
mod lines;
mod options;
mod proof;
mod scope;
mod tokens;
mod told;

use grpc_multiplexer_process::{CertificateNames, Shown, SshPublicKey};
use grpc_multiplexer_tunnel::message::{Auth, Code, Refused};
use grpc_multiplexer_tunnel::{Channel, TOKEN_SCHEME};

pub use certificate::{CertificateIds, CertificateIdsError};
pub(crate) use enrolment::{Enrolled, EnrolmentDenied, Wish};
pub(crate) use failures::Failures;
pub use grants::Grants;
use grants::list;
pub(crate) use grants::{Admission, Denied};
pub use jwt::EdgeJwts;
pub use keys::Keys;
pub use lines::WrongLine;
pub(crate) use proof::Claim;
use scope::Scope;
pub(crate) use scope::Serves;
use tokens::TokenDenied;
pub use tokens::Tokens;
pub(crate) use tokens::{Digest, Grant, hex, line};

use crate::edge::offer::refused;
use crate::jwt::{Jwt, Verifier};
use crate::settings::Settings;

/// Of a credential that no option is about.
const UNKNOWN_SCHEME: &str = "this server takes no such auth in a hello; it takes tokens and keys";

/// What an edge shows of who it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Credential {
    /// The names of its certificate, where the listener asks for one.
    certificate: Option<CertificateNames>,
    /// The certificate itself.
    pub(crate) shown: Shown,
    /// What it came over, to which the proof of a key is bound.
    channel: Channel,
    token: Option<Digest>,
    /// One of which there was proof.
    key: Option<SshPublicKey>,
    /// What came with the key, to be exchanged for it.
    enrolment: Option<Digest>,
    /// What the key grants since it was.
    enrolled: Option<Scope>,
    /// Whether others enrolled, so that one of their keys is asked for whatever the options say.
    others_enrolled: bool,
    /// What came of the token, where it is a JWT.
    jwt: Option<Jwt>,
}

impl Credential {
    /// What a connection shows by itself.
    pub(crate) fn of_connection(
        certificate: Option<CertificateNames>,
        shown: Shown,
        channel: Channel,
    ) -> Self {
        Self {
            certificate,
            shown,
            channel,
            ..Self::default()
        }
    }

    /// The same with what a hello shows. A key is to be [proven](Self::and_key).
    pub(crate) fn and(self, auth: Option<&Auth>) -> Result<Self, Refused> {
        match auth {
            None => Ok(self),
            Some(Auth { scheme, data, .. }) if scheme == TOKEN_SCHEME => Ok(Self {
                token: Some(Digest::of(data)),
                ..self
            }),
            Some(_) => Err(refused(Code::Unsupported, UNKNOWN_SCHEME)),
        }
    }

    /// The same with the key that the edge claims to have, where `signature` is proof of it.
    pub(crate) fn and_key(self, claim: Claim, signature: &[u8]) -> Result<Self, Denied> {
        let (key, enrolment) = claim.proven(&self.channel, signature)?;
        Ok(Self {
            key: Some(key),
            enrolment,
            ..self
        })
    }

    /// The same once its key was looked for among those that were enrolled.
    pub(crate) fn looked_up(self, enrolled: Option<&Enrolled>) -> Self {
        let scope = enrolled.zip(self.key.as_ref());
        let scope = scope.and_then(|(enrolled, key)| enrolled.scope(key));
        Self {
            enrolled: scope,
            others_enrolled: enrolled.is_some_and(Enrolled::has_any),
            ..self
        }
    }

    /// The same once the token in `auth` was looked at as a JWT.
    pub(crate) async fn verified(self, jwts: &Verifier, auth: Option<&Auth>) -> Self {
        let jwt = match (self.token, auth) {
            (Some(digest), Some(auth)) => jwts.verify(digest, &auth.data).await,
            _ => None,
        };
        Self { jwt, ..self }
    }

    /// The same looked at again, by other settings or at another time.
    pub(crate) fn again(
        &self,
        jwts: &Verifier,
        enrolled: Option<&Enrolled>,
        settings: &Settings,
    ) -> Self {
        let jwt = self.jwt.as_ref().map(|jwt| jwts.again(settings, jwt));
        let again = Self {
            jwt,
            ..self.clone()
        };
        again.looked_up(enrolled)
    }

    /// What came of its JWT, if it has one.
    pub(crate) fn jwt(&self) -> Option<&Jwt> {
        self.jwt.as_ref()
    }

    /// Whether the edge showed none.
    pub(crate) fn is_nothing(&self) -> bool {
        let words = self.token.is_none() && self.key.is_none();
        words && self.certificate.is_none() && self.shown.is_nothing()
    }

    /// Whether time alone may end what it grants.
    pub(crate) fn has_end(&self) -> bool {
        self.jwt.is_some() || !self.shown.is_nothing()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_of_another_kind_is_not_taken_for_none() {
        // A key that nobody proves is not taken either.
        for scheme in ["", "jwt", "Token", "ed25519"] {
            let auth = Auth {
                scheme: scheme.to_owned(),
                data: "0123".into(),
                ..Auth::default()
            };
            assert!(Credential::default().and(Some(&auth)).is_err(), "{scheme}");
        }
    }
}
