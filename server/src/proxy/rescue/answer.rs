//! A failure's row as a caller gets it: headers, trailers, details.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, utf8_percent_encode};
use prost::Message as _;

use super::Failure;
use super::table::{Reached, Retry, Row};
use crate::proxy::code::Code;
use crate::proxy::metadata::{GRPC_STATUS, MUX_ERROR};

const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
/// Milliseconds, and a negative number for never. *Source:* gRFC A6, "Pushback".
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

impl Failure {
    /// The trailers that say all this.
    pub(crate) fn trailers(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(5);
        self.row().write(&mut map);
        map
    }

    /// Puts our mark on a status of one of our own services that has none.
    pub(crate) fn mark_own(headers: &mut HeaderMap) {
        let Some(status) = headers.get(GRPC_STATUS) else {
            return;
        };
        let code = Code::read(Some(status));
        if code == Code::Ok || headers.contains_key(MUX_ERROR) {
            return;
        }
        let text = headers.get(GRPC_MESSAGE).map(HeaderValue::as_bytes);
        let text = percent_decode(text.unwrap_or_default()).decode_utf8_lossy();
        Self::OwnService(code, text.into_owned())
            .row()
            .write(headers);
    }

    /// The whole answer, where no response headers went out yet: its headers, and a body where HTTP wants one.
    pub(crate) fn response(&self) -> (Response<()>, Option<Bytes>) {
        let row = self.row();
        let mut response = Response::new(());
        let Some(status) = self.http_status() else {
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            row.write(headers);
            return (response, None);
        };
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        headers.insert(MUX_ERROR, HeaderValue::from_static(row.reason.as_str()));
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        (response, Some(Bytes::from(format!("{}\n", row.message))))
    }

    /// Whoever asks like this does not know gRPC, and is answered by HTTP in plain words.
    pub(super) fn http_status(&self) -> Option<StatusCode> {
        match self {
            Self::NotGrpc => Some(StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::NotPost => Some(StatusCode::METHOD_NOT_ALLOWED),
            _ => None,
        }
    }
}

impl Row {
    fn write(&self, map: &mut HeaderMap) {
        map.insert(GRPC_STATUS, HeaderValue::from(self.code as u16));
        map.insert(GRPC_MESSAGE, encode_message(&self.message));
        map.insert(MUX_ERROR, HeaderValue::from_static(self.reason.as_str()));
        let details = STANDARD_NO_PAD.encode(self.details().encode_to_vec());
        let details = HeaderValue::from_str(&details).expect("base64 is ASCII");
        map.insert(GRPC_DETAILS, details);
        let pushback = match self.retry {
            Retry::AsItLikes => return,
            Retry::After(wait) => i64::try_from(wait.as_millis()).unwrap_or(i64::MAX),
            Retry::Never => -1,
        };
        map.insert(PUSHBACK, HeaderValue::from(pushback));
    }

    pub(super) fn details(&self) -> Status {
        let reached = match self.reached {
            Reached::No => "no",
            Reached::Maybe => "maybe",
            Reached::Yes => "yes",
        };
        let mut details = vec![any(&ErrorInfo {
            reason: self.reason.as_str().replace('-', "_").to_uppercase(),
            domain: "grpc-multiplexer".to_owned(),
            metadata: [("backend_reached".to_owned(), reached.to_owned())].into(),
        })];
        if let Retry::After(wait) = self.retry {
            details.push(any(&RetryInfo {
                retry_delay: wait.try_into().ok(),
            }));
        }
        Status {
            code: i32::from(self.code as u8),
            message: self.message.clone().into_owned(),
            details,
        }
    }
}

/// Percent-encodes as gRPC wants it: everything but printable ASCII, and the percent sign.
pub(super) fn encode_message(message: &str) -> HeaderValue {
    const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');
    let text = utf8_percent_encode(message, ESCAPED).to_string();
    HeaderValue::from_str(&text).expect("printable ASCII")
}

/// `google.rpc.Status`, by hand: three messages are not worth a copy of their files.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) details: Vec<prost_types::Any>,
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

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<prost_types::Duration>,
}

impl prost::Name for ErrorInfo {
    const NAME: &'static str = "ErrorInfo";
    const PACKAGE: &'static str = "google.rpc";
}

impl prost::Name for RetryInfo {
    const NAME: &'static str = "RetryInfo";
    const PACKAGE: &'static str = "google.rpc";
}

fn any<M: prost::Message + prost::Name>(message: &M) -> prost_types::Any {
    prost_types::Any {
        type_url: format!("type.googleapis.com/{}", M::full_name()),
        value: message.encode_to_vec(),
    }
}
