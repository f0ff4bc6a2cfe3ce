//! Statuses in words, and troubles with what to do about them.

use std::error::Error as _;
use std::fmt;

use tonic::{Code, Status};

use super::advice::advice;
use super::output::{End, harmless};

/// The trailer by which a status of the multiplexer says why it is one.
const MUX_ERROR: &str = "x-mux-error";

/// What is wrong, and what may mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) what: String,
    pub(super) advice: String,
    /// Whether it is only that this very call may not be made: by the server's policy or hook of callers, or because the edge
    /// serves other methods.
    pub(super) is_not_allowed: bool,
}

impl Trouble {
    pub(super) fn new(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            advice: advice.into(),
            is_not_allowed: false,
        }
    }

    /// A call that was to end well and did not.
    pub(super) fn of(status: &Status) -> Self {
        let advice = match origin(status) {
            Origin::Here => {
                "no answer came: the way to the proxy broke, or something on it ends calls"
            }
            Origin::Multiplexer(reason) => advice(reason, status.message()),
            Origin::Backend => "the answer is the backend's own: its log may say more",
        };
        Self {
            is_not_allowed: matches!(
                origin(status),
                Origin::Multiplexer("not-allowed" | "hook-refused" | "not-served")
            ),
            ..Self::new(in_words(status), advice)
        }
    }
}

impl From<Status> for Trouble {
    fn from(status: Status) -> Self {
        Self::of(&status)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.advice)
    }
}

impl std::error::Error for Trouble {}

impl From<Trouble> for End {
    fn from(trouble: Trouble) -> Self {
        Self::Failed(trouble.to_string())
    }
}

/// Who made a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin<'a> {
    /// This end, because no answer came.
    Here,
    /// The multiplexer, for this reason.
    Multiplexer(&'a str),
    /// Whoever was called.
    Backend,
}

pub(super) fn origin(status: &Status) -> Origin<'_> {
    let reason = status.metadata().get(MUX_ERROR);
    match reason.and_then(|reason| reason.to_str().ok()) {
        Some(reason) => Origin::Multiplexer(reason),
        // Only what failed here has an error behind it.
        None if status.source().is_some() => Origin::Here,
        None => Origin::Backend,
    }
}

/// Code, message, and the multiplexer's reason.
pub(super) fn in_words(status: &Status) -> String {
    let mut text = name(status.code()).to_owned();
    if !status.message().is_empty() {
        text = format!("{text}: {}", harmless(status.message()));
    }
    match origin(status) {
        Origin::Multiplexer(reason) => format!("{text} ({MUX_ERROR}: {})", harmless(reason)),
        Origin::Here | Origin::Backend => text,
    }
}

/// A code as gRPC's documentation writes it.
pub(super) fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_call_that_may_not_be_made_says_nothing_of_others() {
        for (reason, is_not_allowed) in [
            ("not-allowed", true),
            ("hook-refused", true),
            ("not-served", true),
            ("hook-failed", false),
            ("unauthenticated", false),
        ] {
            let mut refused = Status::permission_denied("mux: x");
            refused
                .metadata_mut()
                .insert(MUX_ERROR, reason.parse().unwrap());
            let trouble = Trouble::of(&refused);
            assert_eq!(trouble.is_not_allowed, is_not_allowed, "{reason}");
        }
    }

    #[test]
    fn a_call_that_broke_here_is_nobodys_answer() {
        let broken = io::Error::from(io::ErrorKind::BrokenPipe);
        let here = Status::from_error(Box::new(broken));
        assert_eq!(origin(&here), Origin::Here);
        assert_eq!(origin(&Status::unknown("x")), Origin::Backend);
        let mut ours = Status::unavailable("mux: x");
        ours.metadata_mut()
            .insert(MUX_ERROR, "draining".parse().unwrap());
        assert_eq!(origin(&ours), Origin::Multiplexer("draining"));
        assert_eq!(
            in_words(&ours),
            "UNAVAILABLE: mux: x (x-mux-error: draining)"
        );
    }
}
