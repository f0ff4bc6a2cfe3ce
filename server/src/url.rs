//! Whom to ask over HTTP: who has the keys of an issuer, and hooks.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use grpc_multiplexer_process::{HostPort, server_name};
use grpc_multiplexer_tunnel::{BoxedIo, tune};
use http::Uri;
use http::uri::{PathAndQuery, Scheme};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long what was sent may be left unacknowledged.
const SILENCE: Duration = Duration::from_secs(20);

/// A URL that can be asked. Two are the same that are written so. Its text has no query, which may be a secret.
#[derive(Debug, Clone)]
pub(crate) struct Url {
    host: HostPort,
    path: PathAndQuery,
    /// What stands in `Host`.
    authority: String,
    name: Option<ServerName<'static>>,
    tls: Option<Arc<ClientConfig>>,
}

/// The text is no such URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a URL such as https://example.org/path, without a user or a fragment")]
pub(crate) struct NoUrl;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("it cannot be reached")]
    Tcp(#[source] io::Error),
    #[error("TLS with it failed")]
    Tls(#[source] io::Error),
}

/// Whether a text is meant as a URL, and not as a file's path.
pub(crate) fn is_url(text: &str) -> bool {
    text.contains("://")
}

impl FromStr for Url {
    type Err = NoUrl;

    fn from_str(text: &str) -> Result<Self, NoUrl> {
        let uri: Uri = text.parse().map_err(|_| NoUrl)?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(NoUrl);
        };
        let port = match scheme {
            https if *https == Scheme::HTTPS => 443,
            http if *http == Scheme::HTTP => 80,
            _ => return Err(NoUrl),
        };
        if authority.as_str().contains('@') || text.contains('#') {
            return Err(NoUrl);
        }
        let port = authority.port_u16().unwrap_or(port);
        let host: HostPort = format!("{}:{port}", authority.host())
            .parse()
            .map_err(|_| NoUrl)?;
        let name = match *scheme == Scheme::HTTPS {
            true => Some(server_name(host.host()).ok_or(NoUrl)?),
            false => None,
        };
        Ok(Self {
            authority: authority.to_string(),
            path: uri.path_and_query().cloned().ok_or(NoUrl)?,
            host,
            name,
            tls: None,
        })
    }
}

impl Url {
    /// The same, with what a secure one needs.
    pub(crate) fn with_tls(self, tls: Arc<ClientConfig>) -> Self {
        let tls = self.is_secure().then_some(tls);
        Self { tls, ..self }
    }

    /// Whether it is asked over TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.name.is_some()
    }

    /// Who is asked.
    pub(crate) fn host(&self) -> &HostPort {
        &self.host
    }

    /// For what.
    pub(crate) fn path(&self) -> &PathAndQuery {
        &self.path
    }

    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// A connection to whoever is asked. It has no deadline of its own.
    pub(crate) async fn connect(&self) -> Result<BoxedIo, ConnectError> {
        let to = (self.host.host(), self.host.port());
        let socket = TcpStream::connect(to).await.map_err(ConnectError::Tcp)?;
        tune(&socket, SILENCE).map_err(ConnectError::Tcp)?;
        match (&self.tls, &self.name) {
            (Some(tls), Some(name)) => {
                let connect = TlsConnector::from(Arc::clone(tls)).connect(name.clone(), socket);
                Ok(Box::new(connect.await.map_err(ConnectError::Tls)?))
            }
            _ => Ok(Box::new(socket)),
        }
    }
}

impl PartialEq for Url {
    fn eq(&self, other: &Self) -> bool {
        let of = |url: &Self| (url.is_secure(), url.host.to_string(), url.path.clone());
        of(self) == of(other)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure() { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_fetched_is_a_url() {
        for (text, host, shown) in [
            (
                "https://id.test/a?key=secret",
                "id.test:443",
                "https://id.test/a",
            ),
            (
                "http://localhost:8080",
                "localhost:8080",
                "http://localhost:8080/",
            ),
            ("https://[::1]:9/x", "[::1]:9", "https://[::1]:9/x"),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!((&*url.host().to_string(), &*url.to_string()), (host, shown));
            assert_eq!(url.is_secure(), text.starts_with("https"));
        }
        for wrong in [
            "",
            "https://",
            "https:///x",
            "ftp://id.test/x",
            "https://user:word@id.test/x",
            "https://id.test/x#y",
            "https://id test/x",
            "//id.test/x",
        ] {
            assert!(wrong.parse::<Url>().is_err(), "{wrong}");
        }
    }
}
