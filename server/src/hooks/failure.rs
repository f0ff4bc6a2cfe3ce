//! What a hook does instead of answering, and what comes of it.

use std::error::Error;
use std::time::Duration;

use grpc_multiplexer_tunnel::ClientId;
use http::StatusCode;
use tonic::{Code, Status};

use super::QUESTIONS;
use super::answer::WrongAnswer;
use super::context::line;
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

type Cause = Box<dyn Error + Send + Sync>;

/// Why a hook gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum HookError {
    #[error("no answer within {0:?}")]
    Slow(Duration),
    #[error("it was not asked: {QUESTIONS} others waited for its answers all of {0:?}")]
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

    /// A status is the hook's, unless there is something behind it.
    pub(super) fn grpc(status: &Status) -> Self {
        let Some(error) = status.source() else {
            return Self::Grpc {
                code: status.code(),
                text: line(status.message()),
            };
        };
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
