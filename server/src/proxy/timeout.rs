//! `grpc-timeout`: how long a call may take, as it travels.
//!
//! *Source:* gRPC over HTTP/2, "Timeout": at most eight digits and a unit.

use std::time::Duration;

use http::HeaderValue;

/// The value is no timeout.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadTimeout;

/// Reads a value. A timeout too long for the clock is as good as none, and stays as long as it can be.
pub(crate) fn parse(value: &HeaderValue) -> Result<Duration, BadTimeout> {
    let (digits, unit) = value
        .as_bytes()
        .split_last()
        .map(|(unit, digits)| (digits, *unit))
        .ok_or(BadTimeout)?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(BadTimeout);
    }
    let number = digits
        .iter()
        .fold(0u64, |number, digit| number * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Ok(Duration::from_secs(number * 3600)),
        b'M' => Ok(Duration::from_secs(number * 60)),
        b'S' => Ok(Duration::from_secs(number)),
        b'm' => Ok(Duration::from_millis(number)),
        b'u' => Ok(Duration::from_micros(number)),
        b'n' => Ok(Duration::from_nanos(number)),
        _ => Err(BadTimeout),
    }
}

/// Writes the time that is left: rounded down, in the finest unit that fits, and never zero, which some backends take
/// for no deadline.
pub(crate) fn format(left: Duration) -> HeaderValue {
    const LIMIT: u128 = 100_000_000;
    let text = if left < Duration::from_millis(1) {
        "1m".to_owned()
    } else if left.as_micros() < LIMIT {
        format!("{}u", left.as_micros())
    } else if left.as_millis() < LIMIT {
        format!("{}m", left.as_millis())
    } else if u128::from(left.as_secs()) < LIMIT {
        format!("{}S", left.as_secs())
    } else {
        format!("{}H", (left.as_secs() / 3600).min(99_999_999))
    };
    HeaderValue::from_str(&text).expect("digits and a letter")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &'static str) -> Result<Duration, BadTimeout> {
        parse(&HeaderValue::from_static(text))
    }

    #[test]
    fn what_is_no_timeout_is_refused() {
        for text in [
            "",
            "5",
            "S",
            "123456789S",
            "-1S",
            "1.5S",
            "1 S",
            "1s",
            "+1S",
            "1SS",
        ] {
            assert_eq!(parsed(text), Err(BadTimeout), "{text:?}");
        }
    }

    #[test]
    fn every_unit_is_read() {
        assert_eq!(parsed("2H"), Ok(Duration::from_secs(7200)));
        assert_eq!(parsed("3M"), Ok(Duration::from_secs(180)));
        assert_eq!(parsed("99999999S"), Ok(Duration::from_secs(99_999_999)));
        assert_eq!(parsed("200m"), Ok(Duration::from_millis(200)));
        assert_eq!(parsed("5u"), Ok(Duration::from_micros(5)));
        assert_eq!(parsed("0n"), Ok(Duration::ZERO));
    }

    #[test]
    fn no_time_left_is_not_written_as_zero() {
        assert_eq!(format(Duration::ZERO), "1m");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_no_more(nanos in 1_000_000u64..u64::MAX) {
            let left = Duration::from_nanos(nanos);
            let back = parse(&format(left)).unwrap();
            prop_assert!(back <= left);
            prop_assert!(back.as_secs_f64() > left.as_secs_f64() * 0.99);
        }
    }
}
