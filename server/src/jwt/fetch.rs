//! Fetches keys.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::ACCEPT;
use http_body_util::Full;
use tokio::time::timeout;

use super::keys::{Keys, WrongKeys};
use crate::http1::{ExchangeError, exchange};
use crate::url::{ConnectError, Url};

/// How long all of it may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// Bytes of an answer. A key has a few hundred, and one with its certificates a few thousand.
const LARGEST: usize = 256 * 1024;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("no answer within {DEADLINE:?}")]
    Slow,
    #[error(
        "TLS with it failed; --edges-jwt-keys-ca, or --callers-jwt-keys-ca, says whom to trust"
    )]
    Tls(#[source] io::Error),
    #[error(transparent)]
    Exchange(ExchangeError),
    #[error("its answer cannot be used")]
    Keys(#[source] WrongKeys),
}

impl From<ExchangeError> for FetchError {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::Connect(ConnectError::Tls(error)) => Self::Tls(error),
            other => Self::Exchange(other),
        }
    }
}

/// Fetches the keys at `url`, and says which of them cannot be used.
pub(super) async fn fetch(url: &Url) -> Result<(Keys, Vec<WrongKeys>), FetchError> {
    let request = Request::get(url.path().as_str())
        .header(ACCEPT, "application/json, application/jwk-set+json")
        .body(Full::<Bytes>::default())
        .expect("the parts of a URL are fit for a request");
    let answer = timeout(DEADLINE, exchange(url, request, LARGEST)).await;
    let answer = answer.map_err(|_| FetchError::Slow)??;
    Keys::usable(&answer).map_err(FetchError::Keys)
}
