//! Statuses in words, and troubles with what to do about them.

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
}

impl Trouble {
    pub(super) fn new(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            advice: advice.into(),
        }
    }

    /// A call that was to end well and did not.
    pub(super) fn of(status: &Status) -> Self {
        let advice = match reason(status) {
            Some(reason) => advice(reason, status.message()),
            None => "the answer is the backend's own: its log may say more",
        };
        Self::new(in_words(status), advice)
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

impl From<Trouble> for End {
    fn from(trouble: Trouble) -> Self {
        Self::Failed(trouble.to_string())
    }
}

/// Why the multiplexer made this status; `None` when it did not.
pub(super) fn reason(status: &Status) -> Option<&str> {
    status.metadata().get(MUX_ERROR)?.to_str().ok()
}

/// Code, message, and the multiplexer's reason.
pub(super) fn in_words(status: &Status) -> String {
    let mut text = name(status.code()).to_owned();
    if !status.message().is_empty() {
        text = format!("{text}: {}", harmless(status.message()));
    }
    match reason(status) {
        Some(reason) => format!("{text} ({MUX_ERROR}: {})", harmless(reason)),
        None => text,
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
