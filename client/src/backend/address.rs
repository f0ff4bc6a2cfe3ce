//! The address of a backend, as text.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use grpc_multiplexer_process::{HostPort, HostPortError};

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
            return Ok(Self::Tls(rest.trim_end_matches('/').parse()?));
        }
        let rest = text.strip_prefix("http://").unwrap_or(text);
        Ok(Self::Tcp(rest.trim_end_matches('/').parse()?))
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
}
