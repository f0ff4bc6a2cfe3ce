//! Every failure of ours, and the one status it becomes. The only place where that is decided.
//!
//! A status of ours is marked, so that a caller can tell it from the backend's: the text begins with `mux: ` (three
//! texts of the original are kept as they were), the trailer `x-mux-error` names the reason, and the details hold a
//! `google.rpc.ErrorInfo` that also says whether the backend may have seen the call. Where another try helps, or cannot
//! help, `grpc-retry-pushback-ms` and a `google.rpc.RetryInfo` say so.

mod answer;
mod codes;
mod table;

use grpc_multiplexer_tunnel::ClientId;
use http::StatusCode;

use super::code::Code;
use crate::edge::lane::{DialFailure, LaneEnd, StreamError};
use crate::policy::Denied;
use crate::waiting::Absence;

/// What went wrong with a call, on our side of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No `client-id`.
    NoId,
    /// Several.
    ManyIds,
    /// One that no edge can have.
    BadId,
    /// Nobody that the policy knows makes the call.
    Unauthenticated,
    /// No edge has it, or it is not for this caller's eyes.
    UnknownEdge(ClientId),
    /// Its caller may not call this method there.
    NotAllowed,
    /// The hook refuses its caller, and why.
    HookRefused(String),
    /// The hook does not say whether its caller may come.
    HookFailed,
    /// The edge's credential does not let it serve the method.
    NotServed(ClientId),
    /// It was here lately, and did not come back in time.
    EdgeAway(ClientId),
    /// The edge cannot reach its backend.
    BackendConnect(ClientId, &'static str),
    /// The backend does not answer the edge in time.
    BackendTimeout(ClientId),
    /// The backend reset the call, or answered nonsense.
    BackendReset(h2::Reason),
    /// The backend's connection ended under the call.
    BackendLost(ClientId),
    /// The backend told us to calm down; whether it had taken the call.
    BackendCalm { taken: bool },
    /// The tunnel ended under the call.
    TunnelLost(ClientId),
    /// The call was proven not to have reached the backend.
    Unprocessed(ClientId),
    /// The backend refused the stream.
    Refused,
    /// The call's time is over; whether it had reached a lane.
    Deadline { sent: bool },
    /// As many calls as the edge takes are open.
    EdgeBusy(ClientId),
    /// This server has too little of what all calls share; whether the call had reached a lane.
    Overload { sent: bool },
    /// This server is going away; whether the call had reached a lane.
    Draining { sent: bool },
    /// The caller's metadata is over the limit; whether the call had reached a lane.
    Metadata { sent: bool },
    /// The backend's metadata is over the limit.
    ResponseMetadata,
    /// Its caller may not make the call any more, which is under way.
    Revoked,
    /// Its caller may see something else than when it asked.
    PolicyChanged,
    /// Not a gRPC content type.
    NotGrpc,
    /// Not POST.
    NotPost,
    /// The path is not `/service/method`.
    BadPath,
    /// The `grpc-timeout` is none.
    BadTimeout,
    /// The backend answered an HTTP error without a gRPC status.
    HttpStatus(StatusCode),
    /// The backend ended its response without a status.
    NoStatus,
    /// One of our own services says no, in its own words.
    OwnService(Code, String),
    /// A field of the discovery API that this server does not know what to do with.
    UnsupportedField(&'static str),
    /// Not a page token that we gave.
    BadPageToken,
    /// As many watch as may.
    TooManyWatchers,
    /// The caller watches, and does not read what it is told.
    SlowWatcher,
    /// The caller takes nothing of its answer.
    SlowCaller,
    /// The call came to the multiplexer listener; the port of the proxy listener.
    WrongListener(u16),
    /// The call came in plain text to a listener with TLS.
    TlsRequired,
    /// Our own code failed.
    Internal,
}

impl Failure {
    /// The status code.
    pub(crate) fn code(&self) -> Code {
        self.row().code
    }

    /// The reason, as `x-mux-error` names it.
    pub(crate) fn reason(&self) -> &'static str {
        self.row().reason.as_str()
    }

    /// Whether the call may be tried once more: it is proven that no backend took it, and another try may end better.
    pub(crate) fn is_retriable(&self) -> bool {
        matches!(
            self,
            Self::Unprocessed(_)
                | Self::Refused
                | Self::BackendCalm { taken: false }
                | Self::BackendConnect(..)
                | Self::BackendTimeout(_)
        )
    }

    /// What it is to a caller that its edge is not there.
    pub(crate) fn of_absence(absence: Absence, id: &ClientId) -> Self {
        match absence {
            Absence::Unknown => Self::UnknownEdge(id.clone()),
            Absence::Away => Self::EdgeAway(id.clone()),
            Absence::TooManyForIt => Self::EdgeBusy(id.clone()),
            Absence::TooMany => Self::Overload { sent: false },
        }
    }

    /// What a caller is told whose call may not run.
    pub(crate) fn of_denied(denied: Denied) -> Self {
        match denied {
            Denied::Unknown(_) => Self::Unauthenticated,
            Denied::Hidden(id) | Denied::Unlabelled(id) => Self::UnknownEdge(id),
            Denied::Method => Self::NotAllowed,
        }
    }

    /// What it is once the backend answered with headers: whatever else it says then, it has seen the call.
    pub(crate) fn after_headers(self, id: &ClientId) -> Self {
        match self {
            Self::Unprocessed(_) => Self::BackendLost(id.clone()),
            Self::Refused => Self::BackendReset(h2::Reason::REFUSED_STREAM),
            Self::BackendCalm { .. } => Self::BackendCalm { taken: true },
            other => other,
        }
    }

    /// What a failed stream of a lane is to a caller.
    pub(crate) fn of_stream(error: &StreamError, id: &ClientId) -> Self {
        match error {
            StreamError::Unprocessed => Self::Unprocessed(id.clone()),
            StreamError::UnprocessedCalm => Self::BackendCalm { taken: false },
            StreamError::Refused => Self::Refused,
            StreamError::Reset(reason) | StreamError::Malformed(reason) => {
                Self::BackendReset(*reason)
            }
            StreamError::Lane(LaneEnd::BackendLost) => Self::BackendLost(id.clone()),
            StreamError::Lane(LaneEnd::BackendCalm) => Self::BackendCalm { taken: true },
            StreamError::Lane(LaneEnd::TunnelLost) => Self::TunnelLost(id.clone()),
        }
    }

    /// What a failed dial is to a caller.
    pub(crate) fn of_dial(failure: DialFailure, id: &ClientId) -> Self {
        let class = match failure {
            DialFailure::Refused => "refused",
            DialFailure::Dns => "dns",
            DialFailure::Tls => "tls",
            DialFailure::Alpn => "alpn",
            DialFailure::NotHttp2 => "not-http2",
            DialFailure::Timeout => return Self::BackendTimeout(id.clone()),
            DialFailure::Unprocessed => return Self::Unprocessed(id.clone()),
        };
        Self::BackendConnect(id.clone(), class)
    }
}

#[cfg(test)]
mod page;
#[cfg(test)]
mod tests;
