//! What a hook does instead of answering, and what comes of it.

use std::error::Error;
use std::time::Duration;

use grpc_multiplexer_tunnel::ClientId;
use http::StatusCode;
use tonic::{Code, Status};

use super::answer::WrongAnswer;
use super::asking::QUESTIONS;
use crate::http1::ExchangeError;
use crate::url::ConnectError;

/// Why somebody is not let in. The text is for whoever that is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAuthorized {
    #[error("the server's hook refuses it: {0}")]
    Refused(String),
    #[error("the server's hook does not let it have the client id '{0}'")]
    OtherId(ClientId),
    #[error("the server's hook does not say who may come just now; the server's log says why")]
    Failed,
}

/// Characters of a line of somebody else's.
const LINE: usize = 256;

type Cause = Box<dyn Error + Send + Sync>;

/// Why a hook gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum HookError {
    #[error("no answer within {0:?}")]
    Slow(Duration),
    #[error("no answer within {0:?}, which began behind {QUESTIONS} other questions")]
    Busy(Duration),
    #[error("it cannot be reached")]
    Unreached(#[source] Cause),
    #[error(
        "TLS with it failed; --hooks-ca says whom to trust, and --hooks-certificate what is shown to a hook that asks for a \
         certificate"
    )]
    Tls(#[source] Cause),
    #[error("it does not speak gRPC; where it speaks JSON, give --hooks-url")]
    NotGrpc(#[source] Cause),
    #[error("it does not speak HTTP/1; where it speaks gRPC, give --hooks-address")]
    NotHttp(#[source] Cause),
    #[error("it hung up without an answer")]
    HungUp(#[source] Cause),
    #[error("it answers {code:?}: {text}")]
    Grpc { code: Code, text: String },
    #[error(transparent)]
    Http(ExchangeError),
    #[error("its answer is not as it must be")]
    Json(#[source] serde_json::Error),
    #[error(transparent)]
    Wrong(#[from] WrongAnswer),
}

impl From<ExchangeError> for HookError {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::Connect(ConnectError::Tls(error)) => Self::Tls(error.into()),
            ExchangeError::Connect(ConnectError::Tcp(error)) => Self::Unreached(error.into()),
            ExchangeError::Http(error) => Self::NotHttp(error.into()),
            ExchangeError::HungUp(error) => Self::HungUp(error.into()),
            other => Self::Http(other),
        }
    }
}

impl HookError {
    /// Whether there is no answer at all, because the hook is away or hangs. Whatever else went wrong may be a no that is badly
    /// put, or brought about by whoever it is about.
    pub(super) fn is_absence(&self) -> bool {
        match self {
            Self::Slow(_) | Self::Unreached(_) | Self::Tls(_) | Self::HungUp(_) => true,
            Self::Grpc { code, .. } => matches!(code, Code::Unavailable | Code::DeadlineExceeded),
            Self::Http(ExchangeError::Status(status)) => matches!(
                *status,
                StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
            ),
            _ => false,
        }
    }

    /// Which kind of failure it is, whatever the hook says in it: what the log has by itself.
    pub(super) fn kind(&self) -> String {
        match self {
            Self::Grpc { code, .. } => format!("{code:?}"),
            Self::Wrong(WrongAnswer::Id(_)) => "id".to_owned(),
            Self::Wrong(WrongAnswer::Ids(_)) => "ids".to_owned(),
            Self::Wrong(WrongAnswer::Context(_)) => "context".to_owned(),
            // A text of ours.
            other => other.to_string(),
        }
    }

    /// A status is the hook's, unless there is something behind it.
    pub(super) fn grpc(status: &Status) -> Self {
        match status.source() {
            Some(error) => Self::of_connection(error),
            None => Self::Grpc {
                code: status.code(),
                text: line(status.message()),
            },
        }
    }

    /// What became of a connection, or of a question on it.
    pub(super) fn of_connection(error: &(dyn Error + 'static)) -> Self {
        let chain = || std::iter::successors(Some(error), |error| (*error).source());
        let root = chain().last().unwrap_or(error);
        let cause = line(&root.to_string()).into();
        // We found what it sent to be no HTTP/2.
        let is_other = |error: &h2::Error| error.is_go_away() && error.is_library();
        if let Some(error) = chain().find_map(<dyn Error>::downcast_ref::<ConnectError>) {
            return match error {
                ConnectError::Tcp(_) => Self::Unreached(cause),
                ConnectError::Tls(_) => Self::Tls(cause),
            };
        }
        if chain().any(<dyn Error>::is::<tonic::ConnectError>) {
            return Self::Unreached(cause);
        }
        match chain().find_map(<dyn Error>::downcast_ref::<h2::Error>) {
            Some(error) if is_other(error) => Self::NotGrpc(cause),
            _ => Self::HungUp(cause),
        }
    }
}

/// One line of plain text, whatever somebody wrote.
pub(super) fn line(text: &str) -> String {
    let text = text.trim().chars().take(LINE);
    text.map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_somebody_elses_is_one_and_has_an_end() {
        assert_eq!(line(" a\nb\u{1b}[31m "), "a b [31m");
        assert_eq!(line(&"ü".repeat(999)).chars().count(), LINE);
    }
    /// Whoever puts something new into each does not fill the log.
    #[test]
    fn what_a_hook_says_makes_no_other_kind_of_failure() {
        let failure = |code, text: &str| HookError::Grpc {
            code,
            text: text.to_owned(),
        };
        let kind = failure(Code::Internal, "request 1").kind();
        assert_eq!(kind, failure(Code::Internal, "request 2").kind());
        assert_ne!(kind, failure(Code::Unknown, "request 1").kind());
        let ids = |ids| HookError::Wrong(WrongAnswer::Ids(ids)).kind();
        assert_eq!(ids(1001), ids(1002));
        assert_ne!(ids(1001), HookError::Wrong(WrongAnswer::CacheFor).kind());
    }
}
