//! A byte pipe to a backend that has an address.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use grpc_multiplexer_process::HostPort;
use grpc_multiplexer_tunnel::message::Code;
use grpc_multiplexer_tunnel::{BoxedIo, tune};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{BackendAddress, BackendTls};

/// How long a backend may take nothing while bytes wait for it. It may be paused or busy, which its callers would have
/// lived with; that it is gone is seen far sooner, by keepalive or a reset.
const STANDSTILL: Duration = Duration::from_secs(5 * 60);

/// Why the backend could not be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    /// Nobody listens, or no route.
    #[error("connection refused")]
    Connect(#[source] io::Error),
    /// The name has no address.
    #[error("name lookup failed")]
    Dns(#[source] io::Error),
    /// The TLS handshake failed.
    #[error("TLS handshake failed")]
    Tls(#[source] io::Error),
    /// The backend's certificate is not one to trust.
    #[error(
        "the backend's certificate is not trusted; see --backend-ca, --backend-crl and --backend-server-name"
    )]
    Certificate(#[source] io::Error),
    /// What answers the TLS handshake is no TLS.
    #[error("the backend does not speak TLS; write its address without https://")]
    NotTls,
    /// TLS did not choose HTTP/2.
    #[error("the backend's TLS does not offer h2 (ALPN)")]
    Alpn,
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The server in this process ended.
    #[error("the server in this process has ended")]
    Ended,
    /// The server in this process takes no streams.
    #[error("the server in this process takes no streams")]
    Stuck,
}

impl DialError {
    /// What the server is told.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Connect(_) | Self::Ended | Self::Stuck => Code::BackendRefused,
            Self::Dns(_) => Code::BackendDns,
            Self::Tls(_) | Self::Certificate(_) | Self::NotTls => Code::BackendTls,
            Self::Alpn => Code::BackendAlpn,
            Self::Timeout(_) => Code::BackendTimeout,
        }
    }

    /// The same in one word.
    pub(crate) fn class(&self) -> &'static str {
        match self.code() {
            Code::BackendDns => "dns",
            Code::BackendTls => "tls",
            Code::BackendAlpn => "alpn",
            Code::BackendTimeout => "timeout",
            _ => "refused",
        }
    }
}

pub(super) async fn connect(
    address: &BackendAddress,
    tls: Option<&BackendTls>,
) -> Result<BoxedIo, DialError> {
    match (address, tls) {
        (BackendAddress::Tcp(address), _) => Ok(Box::new(tcp(address).await?)),
        (BackendAddress::Tls(address), Some(tls)) => {
            let socket = tcp(address).await?;
            let stream = TlsConnector::from(Arc::clone(&tls.config))
                .connect(tls.server_name.clone(), socket)
                .await
                .map_err(tls_error)?;
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                Ok(Box::new(stream))
            } else {
                Err(DialError::Alpn)
            }
        }
        (BackendAddress::Tls(_), None) => Err(DialError::Tls(io::Error::other(
            "no TLS configuration for an https backend",
        ))),
        #[cfg(unix)]
        (BackendAddress::Unix(path), _) => {
            let socket = tokio::net::UnixStream::connect(path).await;
            Ok(Box::new(socket.map_err(DialError::Connect)?))
        }
        #[cfg(not(unix))]
        (BackendAddress::Unix(_), _) => Err(DialError::Connect(io::ErrorKind::Unsupported.into())),
    }
}

/// rustls ends the handshake with a "no application protocol" alert when the backend knows none of ours.
fn tls_error(error: io::Error) -> DialError {
    let alert = rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol);
    let received = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match received {
        Some(received) if *received == alert => DialError::Alpn,
        Some(rustls::Error::InvalidMessage(_)) => DialError::NotTls,
        Some(rustls::Error::InvalidCertificate(_)) => DialError::Certificate(error),
        _ => DialError::Tls(error),
    }
}

async fn tcp(address: &HostPort) -> Result<TcpStream, DialError> {
    let resolved = tokio::net::lookup_host((address.host(), address.port()))
        .await
        .map_err(DialError::Dns)?;
    let mut last = None;
    for candidate in resolved {
        match TcpStream::connect(candidate).await {
            Ok(socket) => {
                tune(&socket, STANDSTILL).map_err(DialError::Connect)?;
                return Ok(socket);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(match last {
        Some(error) => DialError::Connect(error),
        None => DialError::Dns(io::ErrorKind::NotFound.into()),
    })
}
