//! Every failure of ours, and the one status it becomes. The only place where that is decided.
//!
//! A status of ours is marked, so that a caller can tell it from the backend's: the text begins with `mux: ` (three
//! texts of the original are kept as they were), the trailer `x-mux-error` names the reason, and the details hold a
//! `google.rpc.ErrorInfo` that also says whether the backend may have seen the call.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use grpc_multiplexer_tunnel::ClientId;
use h2::Reason;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use prost::Message as _;

use super::code::Code;
use super::metadata::{GRPC_STATUS, MUX_ERROR};
use crate::edge::lane::{DialFailure, LaneEnd, StreamError};

/// Whether the backend may have seen the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    No,
    Maybe,
    Yes,
}

/// What went wrong with a call, on our side of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No `client-id`.
    NoId,
    /// Several.
    ManyIds,
    /// One that no edge can have.
    BadId,
    /// No edge has it.
    UnknownEdge(ClientId),
    /// Its tunnel is up, but owes a sign of life.
    EdgeAway(ClientId),
    /// The edge cannot reach its backend.
    BackendConnect(ClientId, &'static str),
    /// The backend does not answer the edge in time.
    BackendTimeout(ClientId),
    /// The backend reset the call, or answered nonsense.
    BackendReset(Reason),
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
    /// This server is going away; whether the call had reached a lane.
    Draining { sent: bool },
    /// The caller's metadata is over the limit; whether the call had reached a lane.
    Metadata { sent: bool },
    /// The backend's metadata is over the limit.
    ResponseMetadata,
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
    /// The caller watches, and does not read what it is told.
    SlowWatcher,
    /// The call came to the multiplexer listener; the port of the proxy listener.
    WrongListener(u16),
    /// Our own code failed.
    Internal,
}

impl Failure {
    /// The status code.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::NoId | Self::ManyIds | Self::BadId | Self::BadTimeout => Code::InvalidArgument,
            Self::UnknownEdge(_) => Code::NotFound,
            Self::EdgeAway(_)
            | Self::BackendConnect(..)
            | Self::BackendTimeout(_)
            | Self::BackendLost(_)
            | Self::TunnelLost(_)
            | Self::Unprocessed(_)
            | Self::Refused
            | Self::BackendCalm { taken: true }
            | Self::Draining { .. } => Code::Unavailable,
            Self::BackendReset(reason) => code_of_reset(*reason),
            Self::Deadline { .. } => Code::DeadlineExceeded,
            Self::EdgeBusy(_)
            | Self::Metadata { .. }
            | Self::ResponseMetadata
            | Self::SlowWatcher
            | Self::BackendCalm { taken: false } => Code::ResourceExhausted,
            Self::WrongListener(_) => Code::FailedPrecondition,
            Self::BadPath => Code::Unimplemented,
            Self::HttpStatus(status) => code_of_http(*status),
            Self::NoStatus | Self::NotGrpc | Self::NotPost => Code::Unknown,
            Self::Internal => Code::Internal,
        }
    }

    /// The text.
    pub(crate) fn message(&self) -> Cow<'static, str> {
        match self {
            Self::NoId => "no metadata with key 'client-id' supplied".into(),
            Self::ManyIds => "request needs only one element for metadata 'client-id'".into(),
            Self::BadId => "mux: metadata 'client-id' is not a valid edge id".into(),
            Self::UnknownEdge(id) => format!("Client '{id}' not registered").into(),
            Self::EdgeAway(id) => format!("mux: edge '{id}' is not connected").into(),
            Self::BackendConnect(id, class) => {
                format!("mux: backend of edge '{id}' unreachable ({class})").into()
            }
            Self::BackendTimeout(id) => {
                format!("mux: backend of edge '{id}' unreachable (timeout)").into()
            }
            Self::BackendReset(reason) => {
                format!("mux: backend reset ({})", name_of(*reason)).into()
            }
            Self::BackendLost(id) => {
                format!("mux: backend of edge '{id}' closed the connection").into()
            }
            Self::BackendCalm { .. } => "mux: backend overloaded".into(),
            Self::TunnelLost(id) => format!("mux: tunnel to edge '{id}' lost").into(),
            Self::Unprocessed(id) => format!("mux: call not delivered to edge '{id}'").into(),
            Self::Refused => "mux: stream refused".into(),
            Self::Deadline { .. } => "mux: deadline exceeded".into(),
            Self::EdgeBusy(id) => format!("mux: edge '{id}' at call limit").into(),
            Self::Draining { .. } => "mux: server shutting down".into(),
            Self::Metadata { .. } => "mux: metadata too large".into(),
            Self::ResponseMetadata => "mux: response metadata too large".into(),
            Self::NotGrpc => "grpc required".into(),
            Self::NotPost => "POST required".into(),
            Self::BadPath => "mux: malformed method name".into(),
            Self::BadTimeout => "mux: metadata 'grpc-timeout' is not a valid timeout".into(),
            Self::HttpStatus(status) => format!("mux: backend HTTP {}", status.as_u16()).into(),
            Self::NoStatus => "mux: response without status".into(),
            Self::SlowWatcher => "mux: watcher fell too far behind".into(),
            Self::WrongListener(port) => format!(
                "mux: this is the multiplexer listener, where edges dial in; callers call the proxy listener, here \
                 port {port}"
            )
            .into(),
            Self::Internal => "mux: internal error".into(),
        }
    }

    /// The reason, as `x-mux-error` names it.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::NoId => "no-id",
            Self::ManyIds => "many-ids",
            Self::BadId => "bad-id",
            Self::UnknownEdge(_) => "unknown-edge",
            Self::EdgeAway(_) => "edge-away",
            Self::BackendConnect(..) => "backend-connect",
            Self::BackendTimeout(_) => "backend-timeout",
            Self::BackendReset(_) => "backend-reset",
            Self::BackendLost(_) => "backend-lost",
            Self::BackendCalm { .. } => "backend-calm",
            Self::TunnelLost(_) => "tunnel-lost",
            Self::Unprocessed(_) => "unprocessed",
            Self::Refused => "refused",
            Self::Deadline { .. } => "deadline",
            Self::EdgeBusy(_) => "edge-busy",
            Self::Draining { .. } => "draining",
            Self::Metadata { .. } => "metadata",
            Self::ResponseMetadata => "response-metadata",
            Self::NotGrpc => "not-grpc",
            Self::NotPost => "not-post",
            Self::BadPath => "bad-path",
            Self::BadTimeout => "bad-timeout",
            Self::HttpStatus(_) => "http-status",
            Self::NoStatus => "no-status",
            Self::SlowWatcher => "slow-watcher",
            Self::WrongListener(_) => "wrong-listener",
            Self::Internal => "internal",
        }
    }

    /// Whether the backend may have seen the call.
    pub(crate) fn reached(&self) -> Reached {
        match self {
            Self::BackendReset(_)
            | Self::BackendLost(_)
            | Self::TunnelLost(_)
            | Self::BackendCalm { taken: true }
            | Self::Deadline { sent: true }
            | Self::Draining { sent: true }
            | Self::Metadata { sent: true }
            | Self::Internal => Reached::Maybe,
            Self::ResponseMetadata | Self::HttpStatus(_) | Self::NoStatus => Reached::Yes,
            _ => Reached::No,
        }
    }

    /// Whether the call may be tried once more: nothing of it reached a backend, and another try may go elsewhere.
    pub(crate) fn is_retriable(&self) -> bool {
        matches!(
            self,
            Self::Unprocessed(_) | Self::Refused | Self::BackendCalm { taken: false }
        )
    }

    /// What it is once the backend answered with headers: whatever else it says then, it has seen the call.
    pub(crate) fn after_headers(self, id: &ClientId) -> Self {
        match self {
            Self::Unprocessed(_) => Self::BackendLost(id.clone()),
            Self::Refused => Self::BackendReset(Reason::REFUSED_STREAM),
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

    /// The trailers that say all this.
    pub(crate) fn trailers(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(5);
        self.write(&mut map);
        map
    }

    /// The whole answer, where no response headers went out yet: its headers, and a body where HTTP wants one.
    pub(crate) fn response(&self) -> (Response<()>, Option<Bytes>) {
        let mut response = Response::new(());
        let (status, allow) = match self {
            Self::NotGrpc => (StatusCode::UNSUPPORTED_MEDIA_TYPE, false),
            Self::NotPost => (StatusCode::METHOD_NOT_ALLOWED, true),
            _ => {
                let headers = response.headers_mut();
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
                self.write(headers);
                return (response, None);
            }
        };
        // Whoever asks like this does not know gRPC: HTTP in plain words.
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        headers.insert(MUX_ERROR, HeaderValue::from_static(self.reason()));
        if allow {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        (response, Some(Bytes::from(format!("{}\n", self.message()))))
    }

    fn write(&self, map: &mut HeaderMap) {
        let message = self.message();
        map.insert(GRPC_STATUS, HeaderValue::from(self.code() as u16));
        map.insert("grpc-message", encode_message(&message));
        map.insert(MUX_ERROR, HeaderValue::from_static(self.reason()));
        map.insert("grpc-status-details-bin", self.details(&message));
    }

    fn details(&self, message: &str) -> HeaderValue {
        let info = ErrorInfo {
            reason: self.reason().replace('-', "_").to_uppercase(),
            domain: "grpc-multiplexer".to_owned(),
            metadata: [(
                "backend_reached".to_owned(),
                match self.reached() {
                    Reached::No => "no",
                    Reached::Maybe => "maybe",
                    Reached::Yes => "yes",
                }
                .to_owned(),
            )]
            .into(),
        };
        let status = Status {
            code: i32::from(self.code() as u8),
            message: message.to_owned(),
            details: vec![prost_types::Any {
                type_url: "type.googleapis.com/google.rpc.ErrorInfo".to_owned(),
                value: info.encode_to_vec(),
            }],
        };
        let text = STANDARD_NO_PAD.encode(status.encode_to_vec());
        HeaderValue::from_str(&text).expect("base64 is ASCII")
    }
}

/// `google.rpc.Status`, by hand: two messages are not worth a copy of their files.
#[derive(Clone, PartialEq, prost::Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// `google.rpc.ErrorInfo`.
#[derive(Clone, PartialEq, prost::Message)]
struct ErrorInfo {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(string, tag = "2")]
    domain: String,
    #[prost(map = "string, string", tag = "3")]
    metadata: std::collections::HashMap<String, String>,
}

/// Percent-encodes as gRPC wants it: everything but printable ASCII, and the percent sign.
fn encode_message(message: &str) -> HeaderValue {
    const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');
    let text = utf8_percent_encode(message, ESCAPED).to_string();
    HeaderValue::from_str(&text).expect("printable ASCII")
}

/// *Source:* gRPC over HTTP/2, "Errors".
fn code_of_reset(reason: Reason) -> Code {
    match reason {
        Reason::NO_ERROR
        | Reason::PROTOCOL_ERROR
        | Reason::INTERNAL_ERROR
        | Reason::FLOW_CONTROL_ERROR
        | Reason::SETTINGS_TIMEOUT
        | Reason::FRAME_SIZE_ERROR
        | Reason::COMPRESSION_ERROR
        | Reason::CONNECT_ERROR => Code::Internal,
        Reason::REFUSED_STREAM => Code::Unavailable,
        Reason::CANCEL => Code::Cancelled,
        Reason::ENHANCE_YOUR_CALM => Code::ResourceExhausted,
        Reason::INADEQUATE_SECURITY => Code::PermissionDenied,
        _ => Code::Unknown,
    }
}

fn name_of(reason: Reason) -> Cow<'static, str> {
    match reason {
        Reason::NO_ERROR => "NO_ERROR".into(),
        Reason::PROTOCOL_ERROR => "PROTOCOL_ERROR".into(),
        Reason::INTERNAL_ERROR => "INTERNAL_ERROR".into(),
        Reason::FLOW_CONTROL_ERROR => "FLOW_CONTROL_ERROR".into(),
        Reason::SETTINGS_TIMEOUT => "SETTINGS_TIMEOUT".into(),
        Reason::STREAM_CLOSED => "STREAM_CLOSED".into(),
        Reason::FRAME_SIZE_ERROR => "FRAME_SIZE_ERROR".into(),
        Reason::REFUSED_STREAM => "REFUSED_STREAM".into(),
        Reason::CANCEL => "CANCEL".into(),
        Reason::COMPRESSION_ERROR => "COMPRESSION_ERROR".into(),
        Reason::CONNECT_ERROR => "CONNECT_ERROR".into(),
        Reason::ENHANCE_YOUR_CALM => "ENHANCE_YOUR_CALM".into(),
        Reason::INADEQUATE_SECURITY => "INADEQUATE_SECURITY".into(),
        Reason::HTTP_1_1_REQUIRED => "HTTP_1_1_REQUIRED".into(),
        other => u32::from(other).to_string().into(),
    }
}

/// *Source:* gRPC, "HTTP to gRPC Status Code Mapping".
fn code_of_http(status: StatusCode) -> Code {
    match status.as_u16() {
        400 | 431 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

#[cfg(test)]
mod tests;
