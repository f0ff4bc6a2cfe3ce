//! Sizes in bytes, as in `256KiB`, and shares of something, as in `60%`.

/// Why a text is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SizeError {
    /// A unit that some read as 1000 and some as 1024.
    #[error("the unit has two readings; write {wanted} (1 KiB is 1024 bytes)")]
    TwoReadings {
        /// The same number with a unit that has one.
        wanted: String,
    },
    /// More than this machine can count.
    #[error("the size is too large")]
    TooLarge,
    /// Anything else.
    #[error("expected a size, for example 4096, 256KiB, 64MiB or 1GiB")]
    Malformed,
}

/// Why a text is neither a size nor a share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PortionError {
    /// A share of less than nothing, nothing, or more than everything.
    #[error("expected a share from 1% to 100%")]
    Share,
    /// No size.
    #[error("{0}, or a share such as 60%")]
    Size(#[from] SizeError),
}

/// A size, or a share of something that has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Portion {
    /// So many bytes.
    Bytes(u64),
    /// So many hundredths, from 1 to 100.
    Percent(u8),
}

impl Portion {
    /// The bytes that this is of `whole`.
    #[must_use]
    pub fn of(self, whole: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => whole / 100 * u64::from(percent),
        }
    }
}

/// What each unit stands for, and the letter by which others call it.
const UNITS: [(&str, char, u32); 4] = [
    ("KiB", 'k', 10),
    ("MiB", 'm', 20),
    ("GiB", 'g', 30),
    ("TiB", 't', 40),
];

/// Parses a size such as `256KiB` or `1GiB`; a plain number is bytes.
///
/// # Errors
///
/// [`SizeError::TwoReadings`] for `MB` and the like, [`SizeError::TooLarge`], [`SizeError::Malformed`] for the rest.
pub fn size(text: &str) -> Result<u64, SizeError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(SizeError::Malformed);
    }
    let shift = shift(number, unit.trim_start())?;
    let number: u64 = number.parse().map_err(|_| SizeError::TooLarge)?;
    number.checked_mul(1 << shift).ok_or(SizeError::TooLarge)
}

fn shift(number: &str, unit: &str) -> Result<u32, SizeError> {
    if unit.is_empty() {
        return Ok(0);
    }
    if let Some((_, _, shift)) = UNITS.iter().find(|(name, ..)| *name == unit) {
        return Ok(*shift);
    }
    let lower = unit.to_ascii_lowercase();
    let meant = UNITS.iter().find(|(_, letter, _)| {
        lower
            .strip_prefix(*letter)
            .is_some_and(|rest| ["", "b", "ib"].contains(&rest))
    });
    let (name, ..) = meant.ok_or(SizeError::Malformed)?;
    Err(SizeError::TwoReadings {
        wanted: format!("{number}{name}"),
    })
}

/// Parses a size, or a share such as `60%`.
///
/// # Errors
///
/// [`PortionError::Share`] for a share that is none, else as [`size`].
pub fn portion(text: &str) -> Result<Portion, PortionError> {
    let Some(percent) = text.strip_suffix('%') else {
        return Ok(Portion::Bytes(size(text)?));
    };
    let digits = percent.bytes().all(|byte| byte.is_ascii_digit());
    percent
        .parse()
        .ok()
        .filter(|percent| digits && (1..=100).contains(percent))
        .map(Portion::Percent)
        .ok_or(PortionError::Share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units_are_sizes() {
        for (text, wanted) in [
            ("0", 0),
            ("4096", 4096),
            ("256KiB", 256 << 10),
            ("64 MiB", 64 << 20),
            ("1GiB", 1 << 30),
            ("3TiB", 3 << 40),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(size(text), Ok(wanted), "{text:?}");
        }
    }

    #[test]
    fn a_unit_of_two_readings_is_refused_with_the_one_meant() {
        for (text, wanted) in [
            ("256k", "256KiB"),
            ("256KB", "256KiB"),
            ("64mib", "64MiB"),
            ("1 G", "1GiB"),
        ] {
            let said = size(text).unwrap_err().to_string();
            let wanted = format!("the unit has two readings; write {wanted} (1 KiB is 1024 bytes)");
            assert_eq!(said, wanted, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "", " ", "KiB", "-1", "+1", "1.5GiB", "1e3", "10 bits", "5%", "1KiBs",
        ] {
            assert_eq!(size(text), Err(SizeError::Malformed), "{text:?}");
        }
        for text in ["18446744073709551616", "99999999TiB"] {
            assert_eq!(size(text), Err(SizeError::TooLarge), "{text:?}");
        }
    }

    #[test]
    fn a_share_is_of_the_whole() {
        assert_eq!(portion("60%").unwrap().of(1000), 600);
        assert_eq!(
            portion("100%").unwrap().of(u64::MAX / 100 * 100),
            u64::MAX / 100 * 100
        );
        assert_eq!(portion("1KiB").unwrap().of(5), 1024);
        for text in ["0%", "101%", "%", "-5%", "+5%", "5.5%", "256%"] {
            assert_eq!(portion(text), Err(PortionError::Share), "{text:?}");
        }
        assert_eq!(
            portion("much").unwrap_err().to_string(),
            "expected a size, for example 4096, 256KiB, 64MiB or 1GiB, or a share such as 60%"
        );
    }
}
