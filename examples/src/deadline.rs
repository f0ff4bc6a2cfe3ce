//! Ends a call at its deadline with the status that gRPC says.
//!
//! tonic answers CANCELLED there, and its own timer cannot be turned off. It polls what it wraps first, so a timer
//! made in here, no later than tonic's, always wins.

use std::convert::Infallible;
use std::time::Duration;

use http::{HeaderMap, Response};
use tokio::time::timeout;
use tonic::Status;
use tonic::body::Body;

/// How long a call may take by its `grpc-timeout`. tonic ignores one that it cannot read, and so does this.
pub(crate) fn limit(headers: &HeaderMap) -> Option<Duration> {
    parse(headers.get("grpc-timeout")?.to_str().ok()?)
}

/// Runs `answer` for that long. The time counts from the call of this function, not from the first poll.
pub(crate) fn within<A>(
    limit: Option<Duration>,
    answer: A,
) -> impl Future<Output = Result<Response<Body>, Infallible>> + Send
where
    A: Future<Output = Result<Response<Body>, Infallible>> + Send,
{
    let limited = timeout(limit.unwrap_or(Duration::MAX), answer);
    async {
        limited
            .await
            .unwrap_or_else(|_| Ok(Status::deadline_exceeded("deadline exceeded").into_http()))
    }
}

/// *Source:* "Timeout" in the gRPC over HTTP/2 protocol: at most 8 digits and a unit.
fn parse(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_that_is_late_is_deadline_exceeded() {
        let answer = within(Some(Duration::from_millis(1)), std::future::pending());
        assert_eq!(answer.await.unwrap().headers()["grpc-status"], "4");
    }

    #[test]
    fn timeouts_have_a_number_and_a_unit() {
        assert_eq!(parse("200m"), Some(Duration::from_millis(200)));
        assert_eq!(
            parse("99999999H"),
            Some(Duration::from_secs(99_999_999 * 3600))
        );
        for malformed in ["", "m", "1", "-1S", "+1S", "1 S", "123456789n", "1é"] {
            assert_eq!(parse(malformed), None, "{malformed}");
        }
    }
}
