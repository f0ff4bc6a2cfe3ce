//! The token that a call carries.

use std::fmt;
use std::str::FromStr;

use http::header::{AUTHORIZATION, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::credential::Digest;
use crate::jwt::{Jwt, Verifier};
use crate::settings::Settings;

/// In which metadata calls have their tokens, as `Bearer TOKEN`.
///
/// `proxy-authorization` is HTTP's name for what is shown to whoever stands on the way, and never goes further. So a call can
/// show another credential to the backend, in `authorization`, and neither is taken for the other. *Source:* RFC 9110,
/// section 11.7.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TokenMetadata {
    /// `proxy-authorization`. The default.
    #[default]
    ProxyAuthorization,
    /// `authorization`, for callers whose library writes nothing else. Backends do not see it then.
    Authorization,
}

/// The text names no such metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be proxy-authorization or authorization")]
pub struct TokenMetadataError;

/// What a call carries.
#[derive(PartialEq, Eq)]
pub(crate) enum Carried {
    Nothing,
    Token(Box<[u8]>),
    /// Something, but not one token.
    Malformed,
}

/// What is known of what a call carried. The token itself is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Bearer {
    #[default]
    Nothing,
    /// A token, and what came of it where it is a JWT.
    Token(Digest, Option<Jwt>),
    Malformed,
}

impl Carried {
    /// Looks at it.
    pub(crate) async fn seen(self, jwts: &Verifier) -> Bearer {
        match self {
            Self::Nothing => Bearer::Nothing,
            Self::Token(token) => {
                let digest = Digest::of(&token);
                Bearer::Token(digest, jwts.verify(digest, &token).await)
            }
            Self::Malformed => Bearer::Malformed,
        }
    }
}

impl Bearer {
    /// The same looked at again, by other settings or at another time.
    pub(crate) fn again(&self, jwts: &Verifier, settings: &Settings) -> Self {
        match self {
            Self::Token(digest, Some(jwt)) => Self::Token(*digest, Some(jwts.again(settings, jwt))),
            other => other.clone(),
        }
    }

    /// What came of the JWT that it is, if it is one.
    pub(crate) fn jwt(&self) -> Option<&Jwt> {
        match self {
            Self::Token(_, jwt) => jwt.as_ref(),
            _ => None,
        }
    }
}

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Token(_) => "Token(secret)",
            Self::Malformed => "Malformed",
        })
    }
}

impl FromStr for TokenMetadata {
    type Err = TokenMetadataError;

    fn from_str(text: &str) -> Result<Self, TokenMetadataError> {
        match text {
            "proxy-authorization" => Ok(Self::ProxyAuthorization),
            "authorization" => Ok(Self::Authorization),
            _ => Err(TokenMetadataError),
        }
    }
}

impl TokenMetadata {
    fn name(self) -> HeaderName {
        match self {
            Self::ProxyAuthorization => PROXY_AUTHORIZATION,
            Self::Authorization => AUTHORIZATION,
        }
    }

    /// Takes off what a call carries.
    pub(crate) fn take(self, headers: &mut HeaderMap) -> Carried {
        let carried = self.look(headers);
        headers.remove(self.name());
        carried
    }

    /// The token that a call carries, if it is one.
    pub(crate) fn find(self, headers: &HeaderMap) -> Option<Box<[u8]>> {
        match self.look(headers) {
            Carried::Token(token) => Some(token),
            Carried::Nothing | Carried::Malformed => None,
        }
    }

    fn look(self, headers: &HeaderMap) -> Carried {
        let mut values = headers.get_all(self.name()).iter();
        match (values.next(), values.next()) {
            (None, _) => Carried::Nothing,
            (Some(value), None) => token(value).map_or(Carried::Malformed, Carried::Token),
            (Some(_), Some(_)) => Carried::Malformed,
        }
    }
}

/// *Source:* RFC 6750, section 2.1, and RFC 9110, section 11.1: capitals of the scheme do not count.
fn token(value: &HeaderValue) -> Option<Box<[u8]>> {
    let (scheme, token) = value.as_bytes().split_at_checked(b"Bearer ".len())?;
    let token = token.trim_ascii();
    let is_one = !token.is_empty() && token.iter().all(u8::is_ascii_graphic);
    (scheme.eq_ignore_ascii_case(b"Bearer ") && is_one).then(|| token.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in these values, and whether anything of them is left.
    fn taken(values: &[&'static str]) -> Carried {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(PROXY_AUTHORIZATION, HeaderValue::from_static(value));
        }
        headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer other"));
        let found = TokenMetadata::ProxyAuthorization.take(&mut headers);
        assert!(!headers.contains_key(PROXY_AUTHORIZATION), "{values:?}");
        assert_eq!(headers[AUTHORIZATION], "Bearer other");
        found
    }

    #[test]
    fn only_one_token_of_the_right_scheme_is_one() {
        let token = Carried::Token((*b"a.b-c_d~e+f/g==").into());
        assert_eq!(taken(&[]), Carried::Nothing);
        for value in ["Bearer a.b-c_d~e+f/g==", "bearer   a.b-c_d~e+f/g== "] {
            assert_eq!(taken(&[value]), token, "{value}");
        }
        for wrong in [
            &["Bearer"][..],
            &["Bearer "],
            &["Bearer a b"],
            &["Basic YTpi"],
            &["a.b-c_d~e+f/g=="],
            &[""],
            &["Bearer a", "Bearer a"],
        ] {
            assert_eq!(taken(wrong), Carried::Malformed, "{wrong:?}");
        }
    }

    #[test]
    fn where_authorization_is_read_it_is_taken_off() {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer a"));
        headers.insert(PROXY_AUTHORIZATION, HeaderValue::from_static("Bearer b"));
        let found = TokenMetadata::Authorization.take(&mut headers);
        assert_eq!(found, Carried::Token((*b"a").into()));
        assert!(!headers.contains_key(AUTHORIZATION));
        assert!(headers.contains_key(PROXY_AUTHORIZATION));
    }
}
