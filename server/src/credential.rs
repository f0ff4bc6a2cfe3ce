//! Who an edge is: what it shows, and which client ids that gives it.
//!
//! What an edge shows, in whatever way, is its [`Credential`]. What the options say of credentials is [`Grants`], and
//! [`Grants::admit`] is the only place that says whether a credential has a client id. It is asked before anything is
//! looked up for the edge: who may not have an id learns nothing of it.

mod certificate;
mod enrolment;
mod failures;
mod jwt;
mod keys;
mod lines;
mod options;
mod proof;
mod tokens;
mod told;

use std::fmt;

use grpc_multiplexer_process::{CertificateNames, Shown, SshPublicKey};
use grpc_multiplexer_tunnel::message::{Auth, Code, Refused};
use grpc_multiplexer_tunnel::{Channel, ClientId, TOKEN_SCHEME};

use certificate::NotGranted;
pub use certificate::{CertificateIds, CertificateIdsError};
pub(crate) use enrolment::{Enrolled, EnrolmentDenied, Wish};
pub(crate) use failures::Failures;
use jwt::EdgeJwtDenied;
pub use jwt::EdgeJwts;
use keys::KeyDenied;
pub use keys::Keys;
pub use lines::WrongLine;
pub(crate) use proof::Claim;
use tokens::TokenDenied;
pub use tokens::Tokens;
pub(crate) use tokens::{Digest, Grant, hex, line};

use crate::edge::offer::refused;
use crate::jwt::{Jwt, JwtDenied, JwtIssuer, Verifier};
use crate::settings::Settings;

/// Granted ids that are told. There may be hundreds.
const TOLD: usize = 5;
/// Characters of whom a JWT is about that are told.
const SUBJECT: usize = 128;

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
    enrolled: Vec<Grant>,
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
        let grants = enrolled.zip(self.key.as_ref());
        let grants = grants.map(|(enrolled, key)| enrolled.grants(key));
        Self {
            enrolled: grants.unwrap_or_default(),
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
}

/// Which credentials have which client ids. Where nothing is asked for, any edge may have any id; else an edge must show one
/// of what is asked for.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Grants {
    /// By the names in certificates, which the listener must ask for. Default none.
    pub certificate_ids: Option<CertificateIds>,
    /// By tokens. Default none.
    pub tokens: Option<Tokens>,
    /// By keys. Default none.
    pub keys: Option<Keys>,
    /// By keys that edges enrol themselves with, and the tokens with which they do; that needs
    /// [`Settings::state_dir`](crate::Settings::state_dir). Default none.
    pub enrolment: Option<Tokens>,
    /// By JSON Web Tokens. Default none.
    pub jwts: Option<EdgeJwts>,
}

/// What gives an edge its client id, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Principal {
    /// A certificate of that name.
    Certificate(String),
    Token(Digest),
    Key(SshPublicKey),
    /// A JWT that is about whom it names.
    Jwt(String),
}

/// What let an edge in. It is kept with the tunnel, because what is granted may change.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) credential: Credential,
    /// What of it has the id, where the edge was asked.
    pub(crate) principal: Option<Principal>,
}

/// Why a credential has not the client id that its edge wants. The text is for whoever set up the edge.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Denied {
    /// It came before the listener asked for one.
    #[error("this server asks for a certificate; dial it again")]
    NoCertificate,
    #[error(transparent)]
    Certificate(#[from] NotGranted),
    #[error(transparent)]
    Token(#[from] TokenDenied),
    #[error(transparent)]
    Key(#[from] KeyDenied),
    #[error(transparent)]
    Enrolment(#[from] EnrolmentDenied),
    #[error(transparent)]
    Jwt(#[from] EdgeJwtDenied),
}

impl Grants {
    /// What in `credential` has `id`; `None` where nobody is asked.
    pub(crate) fn admit(
        &self,
        credential: &Credential,
        id: &ClientId,
    ) -> Result<Option<Principal>, Denied> {
        let ways = [
            self.by_certificate(credential, id),
            self.by_token(credential, id),
            self.by_key(credential, id),
            self.by_jwt(credential, id),
        ];
        let mut denied = None;
        for way in ways.into_iter().flatten() {
            match way {
                Ok(principal) => return Ok(Some(principal)),
                // What was shown says more than what was not.
                Err(why) if why.is_missing() && denied.is_some() => {}
                Err(why) => denied = Some(why),
            }
        }
        denied.map_or(Ok(None), Err)
    }

    fn by_certificate(
        &self,
        credential: &Credential,
        id: &ClientId,
    ) -> Option<Result<Principal, Denied>> {
        let ids = self.certificate_ids.as_ref()?;
        let Some(names) = &credential.certificate else {
            return Some(Err(Denied::NoCertificate));
        };
        let name = ids.admit(names, id).map_err(Denied::from);
        Some(name.map(Principal::Certificate))
    }

    fn by_token(
        &self,
        credential: &Credential,
        id: &ClientId,
    ) -> Option<Result<Principal, Denied>> {
        let token = self.tokens.as_ref()?.admit(credential.token.as_ref(), id);
        Some(token.map(Principal::Token).map_err(Denied::from))
    }

    fn by_key(&self, credential: &Credential, id: &ClientId) -> Option<Result<Principal, Denied>> {
        let enrols = self.enrolment.is_some() || credential.others_enrolled;
        let keys = match &self.keys {
            Some(keys) => keys.clone(),
            None if enrols => Keys::default(),
            None => return None,
        };
        let key = keys.admit(credential.key.as_ref(), &credential.enrolled, id);
        Some(key.map(Principal::Key).map_err(|denied| match denied {
            KeyDenied::Unknown(key) if enrols => KeyDenied::NotEnrolled(key).into(),
            KeyDenied::Missing if enrols => KeyDenied::MissingToEnrol.into(),
            denied => denied.into(),
        }))
    }

    /// What the edge wants that shows a token with a key which nobody knows, and whether its token is one for `id`.
    pub(crate) fn wish(
        &self,
        credential: &Credential,
        id: &ClientId,
    ) -> Option<(Wish, Result<(), EnrolmentDenied>)> {
        let tokens = self.enrolment.as_ref()?;
        let (key, token) = credential.key.zip(credential.enrolment)?;
        let known = self.keys.as_ref().map_or(&[][..], |keys| keys.grants(&key));
        if !known.is_empty() || !credential.enrolled.is_empty() {
            return None;
        }
        let admitted = tokens.admit(Some(&token), id).map(drop);
        Some((Wish { key, token }, admitted.map_err(EnrolmentDenied::from)))
    }

    fn by_jwt(&self, credential: &Credential, id: &ClientId) -> Option<Result<Principal, Denied>> {
        let shows_token = credential.token.is_some();
        let jwts = self.jwts.as_ref()?;
        let subject = jwts.admit(shows_token, credential.jwt.as_ref(), id);
        Some(subject.map(Principal::Jwt).map_err(Denied::from))
    }

    /// Whose JWTs edges may show.
    pub(crate) fn jwt_issuer(&self) -> Option<&JwtIssuer> {
        self.jwts.as_ref().map(|jwts| &jwts.issuer)
    }

    /// Whether every edge is asked who it is.
    pub(crate) fn ask(&self) -> bool {
        self.certificate_ids.is_some()
            || self.tokens.is_some()
            || self.keys.is_some()
            || self.enrolment.is_some()
            || self.jwts.is_some()
    }
}

impl Denied {
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Certificate(_)
            | Self::Token(TokenDenied::OtherId { .. })
            | Self::Key(KeyDenied::OtherId { .. })
            | Self::Enrolment(EnrolmentDenied::OtherId { .. })
            | Self::Jwt(EdgeJwtDenied::OtherId { .. }) => Code::NotAllowed,
            Self::Enrolment(EnrolmentDenied::Unwritten | EnrolmentDenied::Busy) => Code::Limit,
            Self::NoCertificate
            | Self::Token(_)
            | Self::Key(_)
            | Self::Enrolment(_)
            | Self::Jwt(_) => Code::Unauthenticated,
        }
    }

    /// Whether time may mend it, and nobody has to.
    pub(crate) fn is_for_now(&self) -> bool {
        matches!(self, Self::Jwt(EdgeJwtDenied::Wrong(JwtDenied::NoKeys)))
    }

    /// Whether nothing of the kind was shown.
    fn is_missing(&self) -> bool {
        matches!(
            self,
            Self::NoCertificate
                | Self::Token(TokenDenied::Missing)
                | Self::Key(KeyDenied::Missing | KeyDenied::MissingToEnrol)
                | Self::Jwt(EdgeJwtDenied::Missing | EdgeJwtDenied::Other)
        )
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(name) => write!(f, "certificate {name}"),
            Self::Token(digest) => write!(f, "token {digest}"),
            Self::Key(key) => write!(f, "key {key}"),
            Self::Jwt(subject) => {
                let subject: String = subject.chars().take(SUBJECT).collect();
                write!(f, "jwt {}", subject.escape_debug())
            }
        }
    }
}

/// What is granted, or the first few of it.
fn list(granted: &[impl fmt::Display]) -> String {
    let told = granted.iter().take(TOLD);
    let told: Vec<_> = told.map(|granted| format!("'{granted}'")).collect();
    let told = told.join(", ");
    match granted.len().saturating_sub(TOLD) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn grants(certificate: bool, tokens: &[(&str, &str)]) -> Grants {
        let line = |(token, id): &(&str, &str)| line(token, &[Grant::parse(id).unwrap()]) + "\n";
        let text: String = tokens.iter().map(line).collect();
        Grants {
            certificate_ids: certificate.then(|| "{id}.test".parse().unwrap()),
            tokens: (!tokens.is_empty()).then(|| Tokens::parse(text.as_bytes()).unwrap()),
            keys: None,
            enrolment: None,
            jwts: None,
        }
    }

    /// What becomes of an edge that wants `rainbow`.
    fn admit(grants: &Grants, dns: Option<&str>, token: Option<&str>) -> Result<String, Code> {
        let certificate = dns.map(|name| {
            let mut names = CertificateNames::default();
            names.dns.push(name.to_owned());
            names
        });
        let auth = token.map(|token| Auth {
            scheme: TOKEN_SCHEME.to_owned(),
            data: token.into(),
            ..Auth::default()
        });
        let credential = Credential::of_connection(certificate, Shown::default(), Channel::Plain)
            .and(auth.as_ref());
        let admitted = grants.admit(&credential.unwrap(), &"rainbow".parse().unwrap());
        match admitted {
            Ok(principal) => Ok(principal.map_or_else(String::new, |it| it.to_string())),
            Err(denied) => Err(denied.code()),
        }
    }

    #[test]
    fn who_is_asked_must_show_one_of_what_is_asked_for() {
        let nobody = grants(false, &[]);
        let certificates = grants(true, &[]);
        let tokens = grants(false, &[(TOKEN, "rainbow")]);
        let both = grants(true, &[(TOKEN, "rainbow")]);
        let other = grants(true, &[(TOKEN, "kitchen")]);
        let (right, wrong) = (Some("rainbow.test"), Some("kitchen.test"));
        let (unknown, known) = (Some("another"), Some(TOKEN));
        let by_name = || Ok("certificate rainbow.test".to_owned());
        let by_token = || Ok(format!("token {}", &line(TOKEN, &[])[..8]));
        for (grants, dns, token, wanted) in [
            (&nobody, None, None, Ok(String::new())),
            (&nobody, wrong, unknown, Ok(String::new())),
            (&certificates, None, None, Err(Code::Unauthenticated)),
            (&certificates, None, known, Err(Code::Unauthenticated)),
            (&certificates, wrong, known, Err(Code::NotAllowed)),
            (&certificates, right, unknown, by_name()),
            (&tokens, None, None, Err(Code::Unauthenticated)),
            (&tokens, right, None, Err(Code::Unauthenticated)),
            (&tokens, right, unknown, Err(Code::Unauthenticated)),
            (&tokens, None, known, by_token()),
            (&both, right, None, by_name()),
            (&both, wrong, known, by_token()),
            (&both, wrong, None, Err(Code::NotAllowed)),
            (&both, wrong, unknown, Err(Code::Unauthenticated)),
            (&both, None, None, Err(Code::Unauthenticated)),
            (&other, wrong, known, Err(Code::NotAllowed)),
            (&other, right, known, by_name()),
        ] {
            assert_eq!(
                admit(grants, dns, token),
                wanted,
                "{grants:?} {dns:?} {token:?}"
            );
        }
    }

    #[test]
    fn a_credential_of_another_kind_is_not_taken_for_none() {
        // A key that nobody proves is not taken either.
        for scheme in ["", "jwt", "Token", "ed25519"] {
            let auth = Auth {
                scheme: scheme.to_owned(),
                data: TOKEN.into(),
                ..Auth::default()
            };
            assert!(Credential::default().and(Some(&auth)).is_err(), "{scheme}");
        }
    }
}
