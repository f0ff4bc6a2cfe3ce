//! What a hook does instead of answering, and what comes of it.

use std::time::Duration;

use grpc_multiplexer_tunnel::ClientId;
use tonic::Status;

use super::answer::WrongAnswer;
use super::context::line;
use crate::http1::ExchangeError;

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

/// Why a hook gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum HookError {
    #[error("no answer within {0:?}")]
    Slow(Duration),
    #[error("it answers {code:?}: {text}")]
    Grpc { code: tonic::Code, text: String },
    #[error(transparent)]
    Http(#[from] ExchangeError),
    #[error("its answer is not as it must be")]
    Json(#[source] serde_json::Error),
    #[error(transparent)]
    Wrong(#[from] WrongAnswer),
}

impl HookError {
    pub(super) fn grpc(status: Status) -> Self {
        let mut text = status.message().to_owned();
        let mut source = std::error::Error::source(&status);
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        Self::Grpc {
            code: status.code(),
            text: line(&text),
        }
    }
}
