//! Numbers of bytes, as in `256KiB`.

/// Why a text is no size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SizeError {
    /// No whole number, or another unit than those of powers of two, which are never mistaken for powers of ten.
    #[error("expected bytes as a whole number, or with KiB, MiB or GiB, for example 256KiB")]
    Malformed,
    /// More than 64 bits can count.
    #[error("too large; the most is {} bytes", u64::MAX)]
    TooLarge,
}

/// Parses a number of bytes such as `65536`, `256KiB`, `4MiB` or `1GiB`.
///
/// # Errors
///
/// One variant of [`SizeError`] each for a text of another form and for a size beyond 64 bits.
pub fn size(text: &str) -> Result<u64, SizeError> {
    let digits_end = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let unit: u64 = match unit {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(SizeError::Malformed),
    };
    if digits.is_empty() {
        return Err(SizeError::Malformed);
    }
    // Only the magnitude of a run of digits can fail to parse.
    let number: u64 = digits.parse().map_err(|_| SizeError::TooLarge)?;
    number.checked_mul(unit).ok_or(SizeError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "", "KiB", "-1", "+1", "1.5MiB", "4 MiB", "256KB", "256k", "1TiB",
        ] {
            assert_eq!(size(text), Err(SizeError::Malformed), "{text:?}");
        }
        assert_eq!(
            SizeError::Malformed.to_string(),
            "expected bytes as a whole number, or with KiB, MiB or GiB, for example 256KiB"
        );
    }

    #[test]
    fn a_size_beyond_64_bits_is_refused() {
        for text in ["18446744073709551616", "17179869184GiB"] {
            assert_eq!(size(text), Err(SizeError::TooLarge), "{text:?}");
        }
        assert_eq!(
            SizeError::TooLarge.to_string(),
            "too large; the most is 18446744073709551615 bytes"
        );
    }

    #[test]
    fn bytes_and_their_binary_multiples_are_sizes() {
        for (text, wanted) in [
            ("0", 0),
            ("65536", 65_536),
            ("256KiB", 262_144),
            ("4MiB", 4_194_304),
            ("1GiB", 1_073_741_824),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(size(text), Ok(wanted), "{text:?}");
        }
    }
}
