//! gRPC status codes.

use http::HeaderValue;

/// A status code. *Source:* gRPC, "Status codes and their use in gRPC".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    Ok = 0,
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

/// Each code at its number, with its name.
const ALL: [(Code, &str); 17] = [
    (Code::Ok, "OK"),
    (Code::Cancelled, "CANCELLED"),
    (Code::Unknown, "UNKNOWN"),
    (Code::InvalidArgument, "INVALID_ARGUMENT"),
    (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
    (Code::NotFound, "NOT_FOUND"),
    (Code::AlreadyExists, "ALREADY_EXISTS"),
    (Code::PermissionDenied, "PERMISSION_DENIED"),
    (Code::ResourceExhausted, "RESOURCE_EXHAUSTED"),
    (Code::FailedPrecondition, "FAILED_PRECONDITION"),
    (Code::Aborted, "ABORTED"),
    (Code::OutOfRange, "OUT_OF_RANGE"),
    (Code::Unimplemented, "UNIMPLEMENTED"),
    (Code::Internal, "INTERNAL"),
    (Code::Unavailable, "UNAVAILABLE"),
    (Code::DataLoss, "DATA_LOSS"),
    (Code::Unauthenticated, "UNAUTHENTICATED"),
];

impl Code {
    /// What a `grpc-status` says; whatever is no code is `Unknown`, as gRPC libraries read it.
    pub(crate) fn read(status: Option<&HeaderValue>) -> Self {
        status
            .and_then(|status| status.to_str().ok()?.parse::<usize>().ok())
            .and_then(|number| ALL.get(number))
            .map_or(Self::Unknown, |(code, _)| *code)
    }

    /// Its name in the specification.
    pub(crate) fn name(self) -> &'static str {
        ALL[self as usize].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_at_its_number() {
        for (number, (code, name)) in ALL.iter().enumerate() {
            let status = HeaderValue::from(number);
            assert_eq!(Code::read(Some(&status)), *code);
            assert_eq!(*code as usize, number);
            assert_eq!(code.name(), *name);
        }
    }

    #[test]
    fn what_is_no_code_is_unknown() {
        for status in ["17", "-1", "", "x", "99999999999999999999"] {
            let status = HeaderValue::from_static(status);
            assert_eq!(Code::read(Some(&status)), Code::Unknown);
        }
        assert_eq!(Code::read(None), Code::Unknown);
    }
}
