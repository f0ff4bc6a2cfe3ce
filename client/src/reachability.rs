//! What is known of the backend, said once when it changes.

use std::error::Error;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use grpc_multiplexer_tunnel::Speaks;
use rustls::AlertDescription;
use tracing::{info, warn};

use crate::Backend;
use crate::backend::DialError;

const SILENT: &str = "it hangs up without a word";
const SILENT_IN_PLAIN_TEXT: &str =
    "it hangs up without a word: if it speaks TLS, write its address as https://HOST:PORT";

/// Whether the backend answered last time, and as what.
#[derive(Debug, Default)]
pub(crate) struct Reachability {
    reached: AtomicU8,
    is_foreign: AtomicBool,
    is_spliced: AtomicBool,
}

impl Reachability {
    const REACHABLE: u8 = 1;
    const NOT_REACHABLE: u8 = 2;

    /// The backend was dialled.
    pub(crate) fn dialled<T>(&self, backend: &Backend, dialled: &Result<T, DialError>) {
        let now = if dialled.is_ok() {
            Self::REACHABLE
        } else {
            Self::NOT_REACHABLE
        };
        if self.reached.swap(now, Ordering::Relaxed) == now {
            return;
        }
        match dialled {
            Ok(_) => info!(%backend, "backend takes connections"),
            Err(error) => {
                warn!(%backend, error = error as &dyn Error, "backend not reachable");
            }
        }
    }

    /// A stream of the original's wire is spliced to the backend, whatever was asked for.
    pub(crate) fn spliced(&self, backend: &Backend) {
        if backend.is_terminated() && !self.is_spliced.swap(true, Ordering::Relaxed) {
            warn!(%backend, "backend-mode: terminate has no effect over the original's wire");
        }
    }

    /// The backend spoke, `first` of all, or hung up: is it a gRPC server at all? The server of the tunnel finds out by itself.
    pub(crate) fn heard(&self, backend: &Backend, first: Result<&[u8], &io::Error>) {
        let advice = advice(backend, first);
        let was_foreign = self.is_foreign.swap(advice.is_some(), Ordering::Relaxed);
        if let Some(advice) = advice.filter(|_| !was_foreign) {
            warn!(%backend, advice, "the backend does not answer as a gRPC server");
        }
    }
}

fn advice(backend: &Backend, first: Result<&[u8], &io::Error>) -> Option<&'static str> {
    let silent = if backend.in_plain_text().is_some() {
        SILENT_IN_PLAIN_TEXT
    } else {
        SILENT
    };
    match first {
        Ok([]) => Some(silent),
        Ok(first) => match Speaks::of_server(first)? {
            Speaks::Tls => Some("it speaks TLS: write its address as https://HOST:PORT"),
            Speaks::Http1 => Some("it speaks HTTP/1, and gRPC needs HTTP/2"),
            _ => None,
        },
        // As most systems hang up on what they did not read.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Some(silent),
        Err(error) => of_alert(error),
    }
}

/// With TLS 1.3 a backend says no to a certificate when the handshake seems over.
fn of_alert(error: &io::Error) -> Option<&'static str> {
    use AlertDescription::{
        CertificateExpired, CertificateRequired, CertificateRevoked, UnknownCA,
    };
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::AlertReceived(CertificateRequired) => {
            Some("it asks for a certificate: give --backend-certificate and --backend-key")
        }
        rustls::Error::AlertReceived(CertificateExpired | CertificateRevoked | UnknownCA) => {
            Some("it does not accept the certificate in --backend-certificate")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_dialled_with_tls_or_over_a_unix_socket_is_not_advised_of_tls() {
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        for (address, wanted) in [
            ("localhost:1", SILENT_IN_PLAIN_TEXT),
            ("https://localhost:1", SILENT),
            ("unix:/run/x", SILENT),
        ] {
            let backend = Backend::new(address.parse().unwrap());
            for first in [Ok(&[][..]), Err(&reset)] {
                assert_eq!(advice(&backend, first), Some(wanted), "{address}");
            }
        }
    }
}
