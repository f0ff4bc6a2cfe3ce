//! Which status code a reset or an HTTP status is.

use std::borrow::Cow;

use http::StatusCode;

use crate::proxy::code::Code;

/// *Source:* gRPC over HTTP/2, "Errors".
pub(super) fn code_of_reset(reason: h2::Reason) -> Code {
    match reason {
        h2::Reason::NO_ERROR
        | h2::Reason::PROTOCOL_ERROR
        | h2::Reason::INTERNAL_ERROR
        | h2::Reason::FLOW_CONTROL_ERROR
        | h2::Reason::SETTINGS_TIMEOUT
        | h2::Reason::FRAME_SIZE_ERROR
        | h2::Reason::COMPRESSION_ERROR
        | h2::Reason::CONNECT_ERROR => Code::Internal,
        h2::Reason::REFUSED_STREAM => Code::Unavailable,
        h2::Reason::CANCEL => Code::Cancelled,
        h2::Reason::ENHANCE_YOUR_CALM => Code::ResourceExhausted,
        h2::Reason::INADEQUATE_SECURITY => Code::PermissionDenied,
        _ => Code::Unknown,
    }
}

/// A reset's reason as HTTP/2 writes it.
pub(super) fn name_of_reset(reason: h2::Reason) -> Cow<'static, str> {
    match reason {
        h2::Reason::NO_ERROR => "NO_ERROR".into(),
        h2::Reason::PROTOCOL_ERROR => "PROTOCOL_ERROR".into(),
        h2::Reason::INTERNAL_ERROR => "INTERNAL_ERROR".into(),
        h2::Reason::FLOW_CONTROL_ERROR => "FLOW_CONTROL_ERROR".into(),
        h2::Reason::SETTINGS_TIMEOUT => "SETTINGS_TIMEOUT".into(),
        h2::Reason::STREAM_CLOSED => "STREAM_CLOSED".into(),
        h2::Reason::FRAME_SIZE_ERROR => "FRAME_SIZE_ERROR".into(),
        h2::Reason::REFUSED_STREAM => "REFUSED_STREAM".into(),
        h2::Reason::CANCEL => "CANCEL".into(),
        h2::Reason::COMPRESSION_ERROR => "COMPRESSION_ERROR".into(),
        h2::Reason::CONNECT_ERROR => "CONNECT_ERROR".into(),
        h2::Reason::ENHANCE_YOUR_CALM => "ENHANCE_YOUR_CALM".into(),
        h2::Reason::INADEQUATE_SECURITY => "INADEQUATE_SECURITY".into(),
        h2::Reason::HTTP_1_1_REQUIRED => "HTTP_1_1_REQUIRED".into(),
        other => u32::from(other).to_string().into(),
    }
}

/// *Source:* gRPC, "HTTP to gRPC Status Code Mapping".
pub(super) fn code_of_http(status: StatusCode) -> Code {
    match status.as_u16() {
        400 | 431 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}
