//! What a caller got, down to the frames' meaning.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use h2::Reason;
use http::HeaderMap;
use prost::Message as _;
use tonic_types::StatusExt as _;

use crate::errors_page;

const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// The whole answer to a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// `:status`, 0 when no headers came.
    pub status: u16,
    /// Response headers.
    pub headers: HeaderMap,
    /// Everything in DATA frames.
    pub body: Vec<u8>,
    /// Trailers. Empty for a Trailers-Only response: look at `headers` then.
    pub trailers: HeaderMap,
    /// Whether headers came with END_STREAM.
    pub trailers_only: bool,
    /// How the stream was reset, if it was.
    pub reset: Option<Reason>,
    /// The error, if the stream ended with one.
    pub error: Option<String>,
}

/// A `google.rpc.ErrorInfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorInfo {
    /// What happened, in capitals.
    pub reason: String,
    /// Who says so.
    pub domain: String,
    /// Particulars.
    pub metadata: HashMap<String, String>,
}

impl Answer {
    fn end(&self) -> &HeaderMap {
        if self.trailers_only {
            &self.headers
        } else {
            &self.trailers
        }
    }

    /// A value from wherever the status is.
    #[must_use]
    pub fn ending(&self, key: &str) -> Option<&str> {
        self.end().get(key).and_then(|value| value.to_str().ok())
    }

    /// `grpc-status`.
    #[must_use]
    pub fn code(&self) -> Option<u32> {
        self.ending("grpc-status")?.parse().ok()
    }

    /// `grpc-message`.
    #[must_use]
    pub fn message(&self) -> &str {
        self.ending("grpc-message").unwrap_or_default()
    }

    /// Our mark.
    #[must_use]
    pub fn mux_error(&self) -> Option<&str> {
        self.ending("x-mux-error")
    }

    /// `grpc-status-details-bin`, which says the same as `grpc-status` and `grpc-message`.
    fn details(&self) -> Option<tonic::Status> {
        let details = self.end().get("grpc-status-details-bin")?;
        let bytes: bytes::Bytes = STANDARD_NO_PAD.decode(details).unwrap().into();
        let status = tonic_types::Status::decode(bytes.clone()).unwrap();
        assert_eq!(u32::try_from(status.code).ok(), self.code());
        assert_eq!(status.message, self.message());
        let code = tonic::Code::from(status.code);
        Some(tonic::Status::with_details(code, status.message, bytes))
    }

    /// The `ErrorInfo` of a status of ours.
    ///
    /// # Panics
    ///
    /// When there are details and they are malformed.
    #[must_use]
    pub fn error_info(&self) -> Option<ErrorInfo> {
        let info = self.details()?.get_details_error_info()?;
        Some(ErrorInfo {
            reason: info.reason,
            domain: info.domain,
            metadata: info.metadata,
        })
    }

    /// The `RetryInfo` of a status of ours.
    ///
    /// # Panics
    ///
    /// When there are details and they are malformed.
    #[must_use]
    pub fn retry_delay(&self) -> Option<Duration> {
        self.details()?.get_details_retry_info()?.retry_delay
    }

    /// Asserts a status of ours: code, exact text, reason, and whether the backend may have seen the call; and that
    /// the page of errors has it, and what it says of another try.
    ///
    /// # Panics
    ///
    /// When it is another.
    #[track_caller]
    pub fn is_ours(&self, code: u32, message: &str, reason: &str, reached: &str) {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.code(), Some(code), "{self:?}");
        assert_eq!(self.message(), message, "{self:?}");
        assert_eq!(self.mux_error(), Some(reason), "{self:?}");
        assert_eq!(
            self.error_info(),
            Some(ErrorInfo {
                reason: reason.replace('-', "_").to_uppercase(),
                domain: "grpc-multiplexer".to_owned(),
                metadata: [("backend_reached".to_owned(), reached.to_owned())].into(),
            })
        );
        assert_eq!(self.reset, None, "{self:?}");
        let on_page = errors_page().into_iter().find(|row| {
            row.status.starts_with(&format!("{code} "))
                && (row.reason, row.reached) == (reason, reached)
        });
        let on_page = on_page.expect("a line of docs/errors.md");
        assert_eq!(self.ending(PUSHBACK), on_page.pushback, "{self:?}");
        let wait = on_page.pushback.and_then(|wait| wait.parse().ok());
        assert_eq!(self.retry_delay(), wait.map(Duration::from_millis));
    }

    /// Asserts a status that is not ours.
    ///
    /// # Panics
    ///
    /// When it is another.
    #[track_caller]
    pub fn is_backends(&self, code: u32) {
        assert_eq!(self.code(), Some(code), "{self:?}");
        assert_eq!(self.mux_error(), None, "{self:?}");
    }
}
