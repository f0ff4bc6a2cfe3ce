//! The name an edge registers under.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The identity that an edge registers under and callers select: matches `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`, so it is
/// safe in metadata, logs and file names. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(Arc<str>);

/// The text is no client id. It is not part of the message, because it may be anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must start with a letter or digit, then letters, digits, '.', '_' or '-', 128 characters at most"
)]
pub struct InvalidClientId;

impl ClientId {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id that these bytes spell.
    ///
    /// # Errors
    ///
    /// [`InvalidClientId`] when they do not match the pattern.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidClientId> {
        std::str::from_utf8(bytes)
            .map_err(|_| InvalidClientId)?
            .parse()
    }
}

impl FromStr for ClientId {
    type Err = InvalidClientId;

    fn from_str(text: &str) -> Result<Self, InvalidClientId> {
        let bytes = text.as_bytes();
        let starts_well = bytes.first().is_some_and(u8::is_ascii_alphanumeric);
        let rest_is_fine = bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte));
        if starts_well && rest_is_fine && bytes.len() <= 128 {
            Ok(Self(text.into()))
        } else {
            Err(InvalidClientId)
        }
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_id_is_refused() {
        let long = "a".repeat(129);
        for text in ["", "-a", ".a", "_a", "a b", "a,b", "a\n", "ä", "a/b", &long] {
            assert_eq!(text.parse::<ClientId>(), Err(InvalidClientId), "{text:?}");
        }
        assert!(ClientId::from_bytes(b"a\xff").is_err());
    }

    proptest! {
        #[test]
        fn what_matches_the_pattern_is_kept(text in "[A-Za-z0-9][A-Za-z0-9._-]{0,127}") {
            let id: ClientId = text.parse().unwrap();
            prop_assert_eq!(id.as_str(), text);
        }
    }
}
