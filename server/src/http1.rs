//! One request over HTTP/1, on a connection of its own.
//!
//! Nothing that the other side sends is shown, and there is never more of it in memory than its asker allows.

use std::error::Error;
use std::future::pending;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;

use crate::url::{ConnectError, Url};

/// What is spoken within TLS.
pub(crate) const ALPN: &str = "http/1.1";

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("it does not speak HTTP/1")]
    Http(#[source] hyper::Error),
    #[error("it hung up without an answer")]
    HungUp(#[source] hyper::Error),
    #[error("it answers {0}, and redirections are not followed; give the URL that it leads to")]
    Elsewhere(StatusCode),
    #[error("it answers {0}")]
    Status(StatusCode),
    #[error("its answer breaks off")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
    #[error("its answer is larger than {} KiB", .0 / 1024)]
    Large(usize),
}

/// Asks whoever is at `url`, and takes an answer of up to `largest` bytes. What the connection needs is added to `request`. It
/// has no deadline of its own.
pub(crate) async fn exchange(
    url: &Url,
    mut request: Request<Full<Bytes>>,
    largest: usize,
) -> Result<Bytes, ExchangeError> {
    const OURS: &str = concat!("grpc-multiplexer/", env!("CARGO_PKG_VERSION"));
    let host = HeaderValue::from_str(url.authority()).expect("part of a URL");
    let headers = request.headers_mut();
    headers.insert(HOST, host);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(USER_AGENT, HeaderValue::from_static(OURS));
    let io = TokioIo::new(url.connect().await?);
    let (mut sender, connection) = handshake(io).await.map_err(unanswered)?;
    let exchange = async {
        let response = sender.send_request(request).await;
        let response = response.map_err(unanswered)?;
        match response.status() {
            StatusCode::OK => whole(response.into_body(), largest).await,
            status if status.is_redirection() => Err(ExchangeError::Elsewhere(status)),
            status => Err(ExchangeError::Status(status)),
        }
    };
    // The connection works while the exchange waits, and what it ends with shows there.
    let connection = async {
        let _ = connection.await;
        pending().await
    };
    tokio::select! {
        biased;
        exchanged = exchange => exchanged,
        never = connection => never,
    }
}

/// What came of a request that has no answer.
fn unanswered(error: hyper::Error) -> ExchangeError {
    let cause = error.source().and_then(|cause| cause.downcast_ref());
    // Where the other side speaks first, hyper cancels what it has not sent yet.
    let spoke_first = |cause: &hyper::Error| {
        cause.is_parse() || !cause.is_incomplete_message() && cause.source().is_none()
    };
    if error.is_parse() || error.is_canceled() && cause.is_some_and(spoke_first) {
        ExchangeError::Http(error)
    } else {
        ExchangeError::HungUp(error)
    }
}

async fn whole(body: hyper::body::Incoming, largest: usize) -> Result<Bytes, ExchangeError> {
    match Limited::new(body, largest).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ExchangeError::Large(largest)),
        Err(error) => Err(ExchangeError::Broken(error)),
    }
}
