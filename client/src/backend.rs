//! Where the backend is, and how to get a byte pipe to it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use grpc_multiplexer_process::{HostPort, HostPortError, host_port};
use grpc_multiplexer_tunnel::message::Code;
use grpc_multiplexer_tunnel::{BoxedIo, tune};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Address of a backend, as written in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackendAddress {
    /// `host:port` or `http://host:port`: HTTP/2 without TLS.
    Tcp(HostPort),
    /// `https://host:port`: HTTP/2 over TLS.
    Tls(HostPort),
    /// `unix:/path`: HTTP/2 without TLS over a Unix socket.
    Unix(PathBuf),
}

/// The text is no backend address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendAddressError {
    /// Neither `host:port` nor one of the forms with a scheme.
    #[error("{0}; also possible: https://HOST:PORT, unix:/PATH")]
    HostPort(#[from] HostPortError),
    /// A Unix socket without a path.
    #[error("unix: must be followed by the absolute path of a socket")]
    Path,
    /// Unix sockets do not exist here.
    #[error("Unix sockets are not available on this system")]
    NoUnixSockets,
}

impl FromStr for BackendAddress {
    type Err = BackendAddressError;

    fn from_str(text: &str) -> Result<Self, BackendAddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix(path);
        }
        if let Some(rest) = text.strip_prefix("https://") {
            return Ok(Self::Tls(host_port(rest.trim_end_matches('/'))?));
        }
        let rest = text.strip_prefix("http://").unwrap_or(text);
        Ok(Self::Tcp(host_port(rest.trim_end_matches('/'))?))
    }
}

fn unix(path: &str) -> Result<BackendAddress, BackendAddressError> {
    if cfg!(not(unix)) {
        return Err(BackendAddressError::NoUnixSockets);
    }
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.starts_with('/') && path.len() > 1 {
        Ok(BackendAddress::Unix(path.into()))
    } else {
        Err(BackendAddressError::Path)
    }
}

impl fmt::Display for BackendAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Tls(address) => write!(f, "https://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// TLS towards a backend.
#[derive(Debug, Clone)]
pub struct BackendTls {
    /// How to check the backend.
    pub config: Arc<ClientConfig>,
    /// For which name.
    pub server_name: ServerName<'static>,
}

/// A backend: where it is, and what callers' calls look like to it.
#[derive(Debug, Clone)]
pub struct Backend {
    address: BackendAddress,
    tls: Option<BackendTls>,
    authority: String,
}

/// Why the backend could not be reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// Nobody listens, or no route.
    #[error("connection refused")]
    Connect(#[source] io::Error),
    /// The name has no address.
    #[error("name lookup failed")]
    Dns(#[source] io::Error),
    /// The TLS handshake failed.
    #[error("TLS handshake failed")]
    Tls(#[source] io::Error),
    /// TLS did not choose HTTP/2.
    #[error("the backend's TLS does not offer h2 (ALPN)")]
    Alpn,
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

impl DialError {
    /// What the server is told.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Connect(_) => Code::BackendRefused,
            Self::Dns(_) => Code::BackendDns,
            Self::Tls(_) => Code::BackendTls,
            Self::Alpn => Code::BackendAlpn,
            Self::Timeout(_) => Code::BackendTimeout,
        }
    }
}

impl Backend {
    /// A backend at `address`. `tls` is used iff the address is [`BackendAddress::Tls`]. `authority` is the
    /// `:authority` that the backend sees; without one it is the address's host and port, or `localhost` for a Unix
    /// socket.
    #[must_use]
    pub fn new(
        address: BackendAddress,
        tls: Option<BackendTls>,
        authority: Option<String>,
    ) -> Self {
        let authority = authority.unwrap_or_else(|| match &address {
            BackendAddress::Tcp(address) | BackendAddress::Tls(address) => address.to_string(),
            BackendAddress::Unix(_) => "localhost".to_owned(),
        });
        Self {
            address,
            tls,
            authority,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> &BackendAddress {
        &self.address
    }

    /// The `:authority` it sees.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The `:scheme` it sees.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        match self.address {
            BackendAddress::Tls(_) => "https",
            BackendAddress::Tcp(_) | BackendAddress::Unix(_) => "http",
        }
    }

    /// A new byte pipe to the backend.
    ///
    /// # Errors
    ///
    /// See [`DialError`]. All of it together may take `limit`.
    pub async fn dial(&self, limit: Duration) -> Result<BoxedIo, DialError> {
        timeout(limit, self.connect())
            .await
            .map_err(|_| DialError::Timeout(limit))?
    }

    async fn connect(&self) -> Result<BoxedIo, DialError> {
        match (&self.address, &self.tls) {
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
            (BackendAddress::Unix(_), _) => {
                Err(DialError::Connect(io::ErrorKind::Unsupported.into()))
            }
        }
    }
}

/// rustls ends the handshake with a "no application protocol" alert when the backend knows none of ours.
fn tls_error(error: io::Error) -> DialError {
    let alert = rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol);
    let received = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if received == Some(&alert) {
        DialError::Alpn
    } else {
        DialError::Tls(error)
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
                tune(&socket).map_err(DialError::Connect)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_says_what_would_be_right() {
        let said = |text: &str| text.parse::<BackendAddress>().unwrap_err().to_string();
        assert!(
            said("localhost").contains("unix:/PATH"),
            "{}",
            said("localhost")
        );
        assert!(said("unix:socket").contains("absolute path"));
        assert!(said("https://").contains("https://HOST:PORT"));
        assert!(said("ftp://host:1").contains("also possible"));
    }

    #[test]
    fn the_backend_sees_its_own_address_unless_told_otherwise() {
        let seen = |text: &str, authority: Option<&str>| {
            let address = text.parse().unwrap();
            let backend = Backend::new(address, None, authority.map(str::to_owned));
            (backend.scheme(), backend.authority().to_owned())
        };
        assert_eq!(
            seen("localhost:1", None),
            ("http", "localhost:1".to_owned())
        );
        assert_eq!(
            seen("https://example.com:443", None),
            ("https", "example.com:443".to_owned())
        );
        assert_eq!(seen("unix:/run/x", None), ("http", "localhost".to_owned()));
        assert_eq!(
            seen("[::1]:2", Some("backend")),
            ("http", "backend".to_owned())
        );
    }
}
