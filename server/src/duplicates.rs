//! What becomes of an edge that comes with the id of another.

use std::str::FromStr;

/// What a server does when an edge wants a client id that another edge has.
///
/// A further tunnel of the same edge is never such a case: the edge proves that it is the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DuplicateClientId {
    /// The newcomer is refused, unless the other gives no sign of life.
    #[default]
    Reject,
    /// The newcomer gets the id. The other finishes its calls.
    Replace,
    /// Both serve, each call by the less loaded.
    Balance,
}

/// A text is none of the words for [`DuplicateClientId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected reject, replace or balance")]
pub struct DuplicateClientIdError;

impl FromStr for DuplicateClientId {
    type Err = DuplicateClientIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "reject" => Ok(Self::Reject),
            "replace" => Ok(Self::Replace),
            "balance" => Ok(Self::Balance),
            _ => Err(DuplicateClientIdError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_word_is_refused_with_those_that_would_be_right() {
        assert_eq!("balance".parse(), Ok(DuplicateClientId::Balance));
        let refused = "Reject".parse::<DuplicateClientId>().unwrap_err();
        assert_eq!(refused.to_string(), "expected reject, replace or balance");
    }
}
