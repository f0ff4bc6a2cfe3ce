//! Whole numbers within a range, as limits are.

use std::ops::RangeInclusive;

/// Why a text is no count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a whole number from {least} to {most}")]
pub struct CountError {
    /// Smallest that is taken.
    pub least: usize,
    /// Largest that is taken.
    pub most: usize,
}

/// A parser of whole numbers within `range`: digits and nothing else, so that `1e3` and `1_000` are asked about.
///
/// ```
/// use grpc_multiplexer_process::count;
///
/// assert_eq!(count(1..=10)("7"), Ok(7));
/// let said = count(1..=10)("0").unwrap_err().to_string();
/// assert_eq!(said, "expected a whole number from 1 to 10");
/// ```
pub fn count(range: RangeInclusive<usize>) -> impl Fn(&str) -> Result<usize, CountError> {
    move |text| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.filter(|_| digits).ok_or(CountError {
            least: *range.start(),
            most: *range.end(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_has_both_its_ends() {
        let parse = count(2..=30);
        assert_eq!(parse("2"), Ok(2));
        assert_eq!(parse("030"), Ok(30));
        for text in [
            "1",
            "31",
            "",
            " 3",
            "+3",
            "-3",
            "3.0",
            "1e1",
            "1_0",
            "99999999999999999999",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
