//! Where keys can be fetched.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use grpc_multiplexer_process::{HostPort, Reader, authorities_of, server_name};
use http::Uri;
use http::uri::{PathAndQuery, Scheme};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

/// What is spoken within TLS (ALPN).
const HTTP1: &str = "http/1.1";

/// The URL of a JWKS. Two are the same that are written so. Its text has no query, which may be a secret.
#[derive(Debug, Clone)]
pub(crate) struct JwksUrl {
    host: HostPort,
    path: PathAndQuery,
    /// What stands in `Host`.
    authority: String,
    name: Option<ServerName<'static>>,
    tls: Option<Arc<ClientConfig>>,
}

/// The text is no such URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a URL such as https://id.example.org/jwks.json, without a user or a fragment")]
pub(crate) struct NoUrl;

/// Whether a text is meant as a URL, and not as a file's path.
pub(super) fn is_url(text: &str) -> bool {
    text.contains("://")
}

impl FromStr for JwksUrl {
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

impl JwksUrl {
    /// The same, trusting the authorities at the option `ca`.
    pub(super) fn with_authorities(
        self,
        reader: &mut Reader<'_>,
        ca: &'static str,
    ) -> Option<Self> {
        if !self.is_secure() {
            return Some(self);
        }
        let tls = Some(authorities_of(reader, ca, HTTP1)?);
        Some(Self { tls, ..self })
    }

    /// Whether it is fetched over TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.name.is_some()
    }

    /// Who is asked.
    pub(crate) fn host(&self) -> &HostPort {
        &self.host
    }

    /// For what.
    pub(super) fn path(&self) -> &PathAndQuery {
        &self.path
    }

    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// TLS, and whose certificate it must be; `None` for plain text.
    pub(super) fn tls(&self) -> Option<(Arc<ClientConfig>, ServerName<'static>)> {
        Some((self.tls.clone()?, self.name.clone()?))
    }
}

impl PartialEq for JwksUrl {
    fn eq(&self, other: &Self) -> bool {
        let of = |url: &Self| (url.is_secure(), url.host.to_string(), url.path.clone());
        of(self) == of(other)
    }
}

impl fmt::Display for JwksUrl {
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
            let url: JwksUrl = text.parse().unwrap();
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
            assert!(wrong.parse::<JwksUrl>().is_err(), "{wrong}");
        }
    }
}
