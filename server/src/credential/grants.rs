//! Which client ids a credential gives an edge, and why not others.

use std::fmt;

use grpc_multiplexer_process::SshPublicKey;
use grpc_multiplexer_tunnel::ClientId;
use grpc_multiplexer_tunnel::message::Code;

use super::certificate::{CertificateIds, NotGranted};
use super::jwt::{EdgeJwtDenied, EdgeJwts};
use super::keys::{KeyDenied, Keys};
use super::scope::Serves;
use super::tokens::{Digest, TokenDenied, Tokens};
use super::{Credential, EnrolmentDenied, Wish};
use crate::jwt::{JwtDenied, JwtIssuer};

/// Granted ids that are told. There may be hundreds.
const TOLD: usize = 5;
/// Characters of whom a JWT is about that are told.
const SUBJECT: usize = 128;

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
    /// What calls to the edge may have.
    pub(crate) serves: Serves,
}

impl Admission {
    /// Whether the edge showed what strangers have not: a credential, or a certificate where the listener asks for one.
    pub(crate) fn is_of_somebody(&self) -> bool {
        self.principal.is_some() || self.credential.certificate.is_some()
    }
}

/// What one way of showing who one is comes to.
type Granted = Result<(Principal, Serves), Denied>;

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
    /// Of an edge that was let in.
    #[error(
        "its credential does not let it serve all methods any more that it did; it may come again to serve the rest"
    )]
    Narrowed,
}

impl Grants {
    /// What in `credential` has `id`, `None` where nobody is asked; and what it may serve as that.
    pub(crate) fn admit(
        &self,
        credential: &Credential,
        id: &ClientId,
    ) -> Result<(Option<Principal>, Serves), Denied> {
        let ways = [
            self.by_certificate(credential, id),
            self.by_token(credential, id),
            self.by_key(credential, id),
            self.by_jwt(credential, id),
        ];
        let mut denied = None;
        for way in ways.into_iter().flatten() {
            match way {
                Ok((principal, serves)) => return Ok((Some(principal), serves)),
                // What was shown says more than what was not.
                Err(why) if why.is_missing() && denied.is_some() => {}
                Err(why) => denied = Some(why),
            }
        }
        denied.map_or(Ok((None, Serves::default())), Err)
    }

    fn by_certificate(&self, credential: &Credential, id: &ClientId) -> Option<Granted> {
        let ids = self.certificate_ids.as_ref()?;
        let Some(names) = &credential.certificate else {
            return Some(Err(Denied::NoCertificate));
        };
        let name = ids.admit(names, id).map_err(Denied::from);
        Some(name.map(|name| (Principal::Certificate(name), Serves::default())))
    }

    fn by_token(&self, credential: &Credential, id: &ClientId) -> Option<Granted> {
        let token = self.tokens.as_ref()?.admit(credential.token.as_ref(), id);
        let token = token.map_err(Denied::from);
        Some(token.map(|(token, serves)| (Principal::Token(token), serves)))
    }

    fn by_key(&self, credential: &Credential, id: &ClientId) -> Option<Granted> {
        let enrols = self.enrolment.is_some() || credential.others_enrolled;
        let keys = match &self.keys {
            Some(keys) => keys.clone(),
            None if enrols => Keys::default(),
            None => return None,
        };
        let key = keys.admit(credential.key.as_ref(), credential.enrolled.as_ref(), id);
        let key = key.map(|(key, serves)| (Principal::Key(key), serves));
        Some(key.map_err(|denied| match denied {
            KeyDenied::Unknown(key) if enrols => KeyDenied::NotEnrolled(key).into(),
            KeyDenied::Missing if enrols => KeyDenied::MissingToEnrol.into(),
            denied => denied.into(),
        }))
    }

    /// What the edge wants that shows a token with a key which nobody knows, and what it may serve as `id` if its token is one
    /// for that.
    pub(crate) fn wish(
        &self,
        credential: &Credential,
        id: &ClientId,
    ) -> Option<(Wish, Result<Serves, EnrolmentDenied>)> {
        let tokens = self.enrolment.as_ref()?;
        let (key, token) = credential.key.zip(credential.enrolment)?;
        let known = self.keys.as_ref().and_then(|keys| keys.scope(&key));
        if known.or(credential.enrolled.as_ref()).is_some() {
            return None;
        }
        let admitted = tokens.admit(Some(&token), id).map(|(_, serves)| serves);
        Some((Wish { key, token }, admitted.map_err(EnrolmentDenied::from)))
    }

    fn by_jwt(&self, credential: &Credential, id: &ClientId) -> Option<Granted> {
        let shows_token = credential.token.is_some();
        let jwts = self.jwts.as_ref()?;
        let subject = jwts.admit(shows_token, credential.jwt.as_ref(), id);
        let subject = subject.map_err(Denied::from);
        Some(subject.map(|subject| (Principal::Jwt(subject), Serves::default())))
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
            | Self::Jwt(EdgeJwtDenied::OtherId { .. })
            | Self::Narrowed => Code::NotAllowed,
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
pub(super) fn list(granted: &[impl fmt::Display]) -> String {
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
    use grpc_multiplexer_process::{CertificateNames, Shown};
    use grpc_multiplexer_tunnel::message::Auth;
    use grpc_multiplexer_tunnel::{Channel, TOKEN_SCHEME};

    use super::super::{Grant, line};
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
            Ok((principal, _)) => Ok(principal.map_or_else(String::new, |it| it.to_string())),
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
}
