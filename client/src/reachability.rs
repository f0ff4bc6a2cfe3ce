//! What is known of the backend, said once when it changes.

use std::error::Error;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use grpc_multiplexer_tunnel::Speaks;
use rustls::AlertDescription;
use tracing::{info, warn};

use crate::Backend;
use crate::backend::DialError;

const SILENT: &str =
    "it hangs up without a word: if it speaks TLS, write its address as https://HOST:PORT";

/// Whether the backend answered last time, and as what.
#[derive(Debug, Default)]
pub(crate) struct Reachability {
    reached: AtomicU8,
    is_foreign: AtomicBool,
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

    /// The backend spoke, `first` of all, or hung up: is it a gRPC server at all? The server of the tunnel finds out by itself.
    pub(crate) fn heard(&self, backend: &Backend, first: Result<&[u8], &io::Error>) {
        let advice = match first {
            Ok(first) => Self::advice(first),
            // As most systems hang up on what they did not read.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Some(SILENT),
            Err(error) => of_alert(error),
        };
        let was_foreign = self.is_foreign.swap(advice.is_some(), Ordering::Relaxed);
        if let Some(advice) = advice.filter(|_| !was_foreign) {
            warn!(%backend, advice, "the backend does not answer as a gRPC server");
        }
    }

    fn advice(first: &[u8]) -> Option<&'static str> {
        match Speaks::of_server(first) {
            _ if first.is_empty() => Some(SILENT),
            Some(Speaks::Tls) => Some("it speaks TLS: write its address as https://HOST:PORT"),
            Some(Speaks::Http1) => Some("it speaks HTTP/1, and gRPC needs HTTP/2"),
            _ => None,
        }
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
