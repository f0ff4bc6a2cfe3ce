//! What a token says.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{JwtDenied, LEEWAY};

/// The claim of whom a token is about.
const SUBJECT: &str = "sub";

/// All that a token says. Its `Debug` shows nothing of it.
#[derive(PartialEq, Eq)]
pub(super) struct Claims(Value);

/// Where a token says something: the name of a claim, or the way to one within others, as `/realm_access/roles`.
///
/// *Source:* RFC 6901 for the latter.
///
/// ```
/// use grpc_multiplexer_server::JwtClaim;
///
/// for claim in ["sub", "https://example.org/ids", "/kubernetes.io/serviceaccount/name"] {
///     assert!(claim.parse::<JwtClaim>().is_ok());
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JwtClaim(String);

/// The text names no claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be the name of a claim, such as sub, or the way to one within others, such as /realm_access/roles"
)]
pub struct JwtClaimError;

impl JwtClaim {
    /// Whether it is the claim of whom a token is about.
    pub(crate) fn is_subject(&self) -> bool {
        self.0 == SUBJECT
    }
}

impl Default for JwtClaim {
    /// `sub`.
    fn default() -> Self {
        Self(SUBJECT.to_owned())
    }
}

impl FromStr for JwtClaim {
    type Err = JwtClaimError;

    fn from_str(text: &str) -> Result<Self, JwtClaimError> {
        let is_named = !text.is_empty() && text != "/" && !text.chars().any(char::is_control);
        is_named.then(|| Self(text.to_owned())).ok_or(JwtClaimError)
    }
}

impl fmt::Display for JwtClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Map<String, Value>> for Claims {
    fn from(claims: Map<String, Value>) -> Self {
        Self(Value::Object(claims))
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claims(secret)")
    }
}

impl Claims {
    /// The text of a claim, or the texts of one that is a list. What is no text is nothing.
    pub(super) fn texts(&self, claim: &JwtClaim) -> Vec<&str> {
        let JwtClaim(name) = claim;
        let said = match name.starts_with('/') {
            true => self.0.pointer(name),
            false => self.0.get(name),
        };
        match said {
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            Some(said) => said.as_str().into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// All of them, as the text of a JSON object.
    pub(super) fn text(&self) -> String {
        self.0.to_string()
    }

    pub(super) fn subject(&self) -> &str {
        self.0
            .get(SUBJECT)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// Sees that they are of that issuer, and for that audience.
    pub(super) fn are_of(&self, issuer: &str, audience: &str) -> Result<(), JwtDenied> {
        if self.0.get("iss").and_then(Value::as_str) != Some(issuer) {
            return Err(JwtDenied::Issuer);
        }
        let audiences = self.texts(&JwtClaim("aud".to_owned()));
        if !audiences.contains(&audience) {
            return Err(JwtDenied::Audience);
        }
        Ok(())
    }

    /// When they end, with leeway, where they hold now. All times are since 1970.
    pub(super) fn end(&self, now: Duration) -> Result<Duration, JwtDenied> {
        let end = self.time("exp")?.ok_or(JwtDenied::NoEnd)?;
        let end = end.saturating_add(LEEWAY);
        if end <= now {
            return Err(JwtDenied::Expired);
        }
        match self.time("nbf")? {
            Some(begin) if begin > now.saturating_add(LEEWAY) => Err(JwtDenied::TooEarly),
            _ => Ok(end),
        }
    }

    /// A time, where there is one. One that is there must be one.
    fn time(&self, name: &str) -> Result<Option<Duration>, JwtDenied> {
        let Some(time) = self.0.get(name) else {
            return Ok(None);
        };
        let seconds = time
            .as_f64()
            .ok_or(JwtDenied::Malformed("a time in it is no number"))?;
        let time = Duration::try_from_secs_f64(seconds);
        time.map(Some)
            .map_err(|_| JwtDenied::Malformed("a time in it is out of reach"))
    }
}

#[cfg(test)]
mod tests;
