//! The table: one row for each way in which a call can fail on our side. `docs/errors.md` shows it to callers, and is
//! held to it by a test.
//!
//! A new row is a variant of [`Failure`], an arm of [`Failure::row`], a [`Reason`], and a line of that page: the
//! compiler asks for the arm, and the test for the rest.

use std::borrow::Cow;
use std::time::Duration;

use super::Failure;
use super::codes::{code_of_http, code_of_reset, name_of_reset};
use crate::proxy::code::Code;

/// When a call that found something full, or on its way back, may come again. Not spread out: such failures are as far
/// apart as the calls were.
const SOON: Duration = Duration::from_secs(1);

/// What a failure is to a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) reason: Reason,
    pub(super) code: Code,
    pub(super) message: Cow<'static, str>,
    pub(super) reached: Reached,
    pub(super) retry: Retry,
}

/// Whether the backend may have seen the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reached {
    No,
    Maybe,
    Yes,
}

/// What a caller whose policy is to retry is told of it. Nobody else heeds it (gRFC A6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    /// Nothing: how long it takes is not ours to know, or the backend may have seen the call, and only its caller knows
    /// whether it may run twice.
    AsItLikes,
    /// After so long. The backend did not see the call.
    After(Duration),
    /// Not at all: the same call would fail in the same way.
    Never,
}

macro_rules! reasons {
    ($($name:ident $text:literal)*) => {
        /// Why a call failed, as `x-mux-error` names it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Reason {
            $(#[doc = $text] $name,)*
        }

        impl Reason {
            #[cfg(test)]
            pub(super) const ALL: &[Self] = &[$(Self::$name,)*];

            pub(super) fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

reasons! {
    NotPost "not-post"
    NotGrpc "not-grpc"
    Metadata "metadata"
    BadPath "bad-path"
    BadTimeout "bad-timeout"
    Unauthenticated "unauthenticated"
    NoId "no-id"
    ManyIds "many-ids"
    BadId "bad-id"
    UnknownEdge "unknown-edge"
    NotAllowed "not-allowed"
    HookRefused "hook-refused"
    HookFailed "hook-failed"
    NotServed "not-served"
    EdgeAway "edge-away"
    EdgeBusy "edge-busy"
    BackendConnect "backend-connect"
    BackendTimeout "backend-timeout"
    Unprocessed "unprocessed"
    Refused "refused"
    BackendCalm "backend-calm"
    BackendReset "backend-reset"
    BackendLost "backend-lost"
    TunnelLost "tunnel-lost"
    Deadline "deadline"
    ResponseMetadata "response-metadata"
    HttpStatus "http-status"
    NoStatus "no-status"
    Overload "overload"
    Draining "draining"
    Revoked "revoked"
    PolicyChanged "policy-changed"
    OwnService "own-service"
    UnsupportedField "unsupported-field"
    BadPageToken "bad-page-token"
    TooManyWatchers "too-many-watchers"
    SlowWatcher "slow-watcher"
    SlowCaller "slow-caller"
    WrongListener "wrong-listener"
    TlsRequired "tls-required"
    Internal "internal"
}

impl Failure {
    /// Its row.
    pub(super) fn row(&self) -> Row {
        use Reached::{Maybe, No, Yes};
        match self {
            Self::NotPost => row(Reason::NotPost, Code::Unknown, No, "POST required"),
            Self::NotGrpc => row(Reason::NotGrpc, Code::Unknown, No, "grpc required"),
            Self::Metadata { sent } => row(
                Reason::Metadata,
                Code::ResourceExhausted,
                if *sent { Maybe } else { No },
                "mux: metadata too large",
            )
            .never_again(),
            Self::BadPath => row(
                Reason::BadPath,
                Code::Unimplemented,
                No,
                "mux: malformed method name",
            ),
            Self::BadTimeout => row(
                Reason::BadTimeout,
                Code::InvalidArgument,
                No,
                "mux: metadata 'grpc-timeout' is not a valid timeout",
            ),
            Self::Unauthenticated => row(
                Reason::Unauthenticated,
                Code::Unauthenticated,
                No,
                "mux: caller not authenticated",
            ),
            Self::NotAllowed => row(
                Reason::NotAllowed,
                Code::PermissionDenied,
                No,
                "mux: not allowed",
            ),
            Self::HookRefused(reason) => row(
                Reason::HookRefused,
                Code::PermissionDenied,
                No,
                format!("mux: the server's hook refuses it: {reason}"),
            ),
            Self::HookFailed => row(
                Reason::HookFailed,
                Code::Unavailable,
                No,
                "mux: the server's hook does not say who may call",
            )
            .again_soon(),
            Self::NoId => row(
                Reason::NoId,
                Code::InvalidArgument,
                No,
                "no metadata with key 'client-id' supplied",
            ),
            Self::ManyIds => row(
                Reason::ManyIds,
                Code::InvalidArgument,
                No,
                "request needs only one element for metadata 'client-id'",
            ),
            Self::BadId => row(
                Reason::BadId,
                Code::InvalidArgument,
                No,
                "mux: metadata 'client-id' is not a valid edge id",
            ),
            Self::UnknownEdge(id) => row(
                Reason::UnknownEdge,
                Code::NotFound,
                No,
                format!("Client '{id}' not registered"),
            ),
            Self::NotServed(id) => row(
                Reason::NotServed,
                Code::Unimplemented,
                No,
                format!("mux: edge '{id}' may not serve this method"),
            ),
            Self::EdgeAway(id) => row(
                Reason::EdgeAway,
                Code::Unavailable,
                No,
                format!("mux: edge '{id}' is not connected"),
            )
            .again_soon(),
            Self::EdgeBusy(id) => row(
                Reason::EdgeBusy,
                Code::ResourceExhausted,
                No,
                format!("mux: edge '{id}' at call limit"),
            )
            .again_soon(),
            Self::BackendConnect(id, class) => row(
                Reason::BackendConnect,
                Code::Unavailable,
                No,
                format!("mux: backend of edge '{id}' unreachable ({class})"),
            ),
            Self::BackendTimeout(id) => row(
                Reason::BackendTimeout,
                Code::Unavailable,
                No,
                format!("mux: backend of edge '{id}' unreachable (timeout)"),
            ),
            Self::Unprocessed(id) => row(
                Reason::Unprocessed,
                Code::Unavailable,
                No,
                format!("mux: call not delivered to edge '{id}'"),
            ),
            Self::Refused => row(
                Reason::Refused,
                Code::Unavailable,
                No,
                "mux: stream refused",
            ),
            Self::BackendCalm { taken: false } => row(
                Reason::BackendCalm,
                Code::ResourceExhausted,
                No,
                "mux: backend overloaded",
            )
            .again_soon(),
            Self::BackendCalm { taken: true } => row(
                Reason::BackendCalm,
                Code::Unavailable,
                Maybe,
                "mux: backend overloaded",
            ),
            Self::BackendReset(reason) => row(
                Reason::BackendReset,
                code_of_reset(*reason),
                Maybe,
                format!("mux: backend reset ({})", name_of_reset(*reason)),
            ),
            Self::BackendLost(id) => row(
                Reason::BackendLost,
                Code::Unavailable,
                Maybe,
                format!("mux: backend of edge '{id}' closed the connection"),
            ),
            Self::TunnelLost(id) => row(
                Reason::TunnelLost,
                Code::Unavailable,
                Maybe,
                format!("mux: tunnel to edge '{id}' lost"),
            ),
            Self::Deadline { sent } => row(
                Reason::Deadline,
                Code::DeadlineExceeded,
                if *sent { Maybe } else { No },
                "mux: deadline exceeded",
            ),
            Self::ResponseMetadata => row(
                Reason::ResponseMetadata,
                Code::ResourceExhausted,
                Yes,
                "mux: response metadata too large",
            )
            .never_again(),
            Self::HttpStatus(status) => row(
                Reason::HttpStatus,
                code_of_http(*status),
                Yes,
                format!("mux: backend HTTP {}", status.as_u16()),
            ),
            Self::NoStatus => row(
                Reason::NoStatus,
                Code::Unknown,
                Yes,
                "mux: response without status",
            ),
            Self::Overload { sent: false } => {
                row(Reason::Overload, Code::Unavailable, No, "mux: overloaded").again_soon()
            }
            Self::Overload { sent: true } => row(
                Reason::Overload,
                Code::Unavailable,
                Maybe,
                "mux: overloaded",
            ),
            Self::Draining { sent: false } => row(
                Reason::Draining,
                Code::Unavailable,
                No,
                "mux: server shutting down",
            )
            .again_soon(),
            Self::Draining { sent: true } => row(
                Reason::Draining,
                Code::Unavailable,
                Maybe,
                "mux: server shutting down",
            ),
            Self::Revoked => row(
                Reason::Revoked,
                Code::PermissionDenied,
                Maybe,
                "mux: not allowed any more",
            ),
            Self::PolicyChanged => row(
                Reason::PolicyChanged,
                Code::Unavailable,
                No,
                "mux: what this caller may see has changed",
            )
            .again_soon(),
            Self::OwnService(code, text) => row(Reason::OwnService, *code, No, text.clone()),
            Self::UnsupportedField(field) => row(
                Reason::UnsupportedField,
                Code::Unimplemented,
                No,
                format!("mux: this server does not serve the field '{field}'; leave it empty"),
            ),
            Self::BadPageToken => row(
                Reason::BadPageToken,
                Code::InvalidArgument,
                No,
                "mux: page_token is not one of this API",
            ),
            Self::TooManyWatchers => row(
                Reason::TooManyWatchers,
                Code::ResourceExhausted,
                No,
                "mux: too many watchers",
            )
            .again_soon(),
            Self::SlowWatcher => row(
                Reason::SlowWatcher,
                Code::ResourceExhausted,
                No,
                "mux: watcher fell too far behind; watch again, with a snapshot",
            ),
            Self::SlowCaller => row(
                Reason::SlowCaller,
                Code::ResourceExhausted,
                Yes,
                "mux: caller does not read",
            ),
            Self::WrongListener(port) => row(
                Reason::WrongListener,
                Code::FailedPrecondition,
                No,
                format!(
                    "mux: this is the multiplexer listener, where edges dial in; callers call the proxy listener, \
                     here port {port}"
                ),
            ),
            Self::TlsRequired => row(
                Reason::TlsRequired,
                Code::FailedPrecondition,
                No,
                "mux: this server takes callers over TLS only",
            ),
            Self::Internal => row(
                Reason::Internal,
                Code::Internal,
                Maybe,
                "mux: internal error",
            ),
        }
    }
}

fn row(reason: Reason, code: Code, reached: Reached, message: impl Into<Cow<'static, str>>) -> Row {
    Row {
        reason,
        code,
        message: message.into(),
        reached,
        retry: Retry::AsItLikes,
    }
}

impl Row {
    fn again_soon(self) -> Self {
        Self {
            retry: Retry::After(SOON),
            ..self
        }
    }

    fn never_again(self) -> Self {
        Self {
            retry: Retry::Never,
            ..self
        }
    }
}
