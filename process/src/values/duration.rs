//! Spans of time, as in `10s`.

use std::time::Duration;

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DurationError {
    /// A number without a unit, which each reader would take for another unit.
    #[error("the unit is missing; write {number}s for seconds or {number}ms for milliseconds")]
    MissingUnit {
        /// The digits that were given.
        number: String,
    },
    /// Anything else.
    #[error("expected a duration, for example 10s, 250ms or 1h 30m")]
    Malformed,
}

/// Parses a duration such as `10s`, `250ms` or `1h 30m`; a plain `0` is fine as well, being the same in every unit.
///
/// # Errors
///
/// [`DurationError::MissingUnit`] for any other bare number, [`DurationError::Malformed`] for the rest.
pub fn duration(text: &str) -> Result<Duration, DurationError> {
    match text {
        "0" => Ok(Duration::ZERO),
        _ if is_number(text) => Err(DurationError::MissingUnit {
            number: text.to_owned(),
        }),
        _ => humantime::parse_duration(text).map_err(|_| DurationError::Malformed),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_number_is_refused_with_a_hint() {
        assert_eq!(
            duration("10").unwrap_err().to_string(),
            "the unit is missing; write 10s for seconds or 10ms for milliseconds"
        );
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            " ",
            "s",
            "-1s",
            "10 parsecs",
            "ten seconds",
            "99999999999999y",
        ] {
            assert_eq!(duration(text), Err(DurationError::Malformed), "{text:?}");
        }
        assert_eq!(
            DurationError::Malformed.to_string(),
            "expected a duration, for example 10s, 250ms or 1h 30m"
        );
    }

    #[test]
    fn numbers_with_units_are_durations() {
        for (text, wanted) in [
            ("0", Duration::ZERO),
            ("0s", Duration::ZERO),
            ("10s", Duration::from_secs(10)),
            ("250ms", Duration::from_millis(250)),
            ("1h 30m", Duration::from_secs(5_400)),
        ] {
            assert_eq!(duration(text), Ok(wanted), "{text:?}");
        }
    }
}
