//! Yes or no.

/// A text is neither `true` nor `false`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be true or false")]
pub struct BooleanError;

/// Parses `true` or `false`, and no other spelling: what some take for yes, others take for a name.
///
/// # Errors
///
/// For anything else.
pub fn boolean(text: &str) -> Result<bool, BooleanError> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(BooleanError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_two_words() {
        assert_eq!(boolean("true"), Ok(true));
        assert_eq!(boolean("false"), Ok(false));
        for text in ["", "yes", "on", "1", "True", " true"] {
            assert_eq!(boolean(text), Err(BooleanError), "{text:?}");
        }
    }
}
