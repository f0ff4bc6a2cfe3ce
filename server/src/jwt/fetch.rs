//! Fetches keys: one request over a connection of its own.
//!
//! Nothing that the other side sends is shown, and there is never more of it in memory than [`LARGEST`].

use std::error::Error;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::keys::{Keys, WrongKeys};
use super::url::JwksUrl;

/// How long all of it may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// Bytes of an answer. A key has a few hundred, and one with its certificates a few thousand.
const LARGEST: usize = 256 * 1024;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("no answer within {DEADLINE:?}")]
    Slow,
    #[error("it cannot be reached")]
    Connect(#[source] io::Error),
    #[error(
        "TLS with it failed; --edges-jwt-keys-ca, or --callers-jwt-keys-ca, says whom to trust"
    )]
    Tls(#[source] io::Error),
    #[error("it does not speak HTTP")]
    Http(#[source] hyper::Error),
    #[error("it answers {0}, and redirections are not followed; give the URL that it leads to")]
    Elsewhere(StatusCode),
    #[error("it answers {0}")]
    Status(StatusCode),
    #[error("its answer breaks off")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
    #[error("its answer is larger than {} KiB", LARGEST / 1024)]
    Large,
    #[error("its answer cannot be used")]
    Keys(#[source] WrongKeys),
}

/// Fetches the keys at `url`.
pub(super) async fn fetch(url: &JwksUrl) -> Result<Keys, FetchError> {
    let answer = timeout(DEADLINE, answer(url)).await;
    let answer = answer.unwrap_or(Err(FetchError::Slow))?;
    Keys::parse(&answer).map_err(FetchError::Keys)
}

async fn answer(url: &JwksUrl) -> Result<Bytes, FetchError> {
    let to = (url.host().host(), url.host().port());
    let socket = TcpStream::connect(to).await.map_err(FetchError::Connect)?;
    match url.tls() {
        None => ask(url, socket).await,
        Some((tls, name)) => {
            let connect = TlsConnector::from(tls).connect(name, socket);
            ask(url, connect.await.map_err(FetchError::Tls)?).await
        }
    }
}

async fn ask(
    url: &JwksUrl,
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Bytes, FetchError> {
    let request = Request::get(url.path().as_str())
        .header(HOST, url.authority())
        .header(ACCEPT, "application/json, application/jwk-set+json")
        .header(CONNECTION, "close")
        .header(
            USER_AGENT,
            concat!("grpc-multiplexer/", env!("CARGO_PKG_VERSION")),
        )
        .body(Empty::<Bytes>::new())
        .expect("the parts of a URL are fit for a request");
    let (mut sender, connection) = handshake(TokioIo::new(io))
        .await
        .map_err(FetchError::Http)?;
    let exchange = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(FetchError::Http)?;
        match response.status() {
            StatusCode::OK => body(response.into_body()).await,
            status if status.is_redirection() => Err(FetchError::Elsewhere(status)),
            status => Err(FetchError::Status(status)),
        }
    };
    // The connection works while the exchange waits, and what it ends with shows there.
    let connection = async {
        let _ = connection.await;
        std::future::pending().await
    };
    tokio::select! {
        biased;
        exchanged = exchange => exchanged,
        never = connection => never,
    }
}

async fn body(body: hyper::body::Incoming) -> Result<Bytes, FetchError> {
    match Limited::new(body, LARGEST).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(FetchError::Large),
        Err(error) => Err(FetchError::Broken(error)),
    }
}
