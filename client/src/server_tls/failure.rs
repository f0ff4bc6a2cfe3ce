//! Why an edge and a server have no TLS, or none that is good any more.

use std::io;

use grpc_multiplexer_tunnel::ALPN;
use rustls::{AlertDescription, CertificateError, Error};

/// Why an edge and a server have no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerTlsError {
    #[error("no certificate can be for this host; give --multiplexer-tls-server-name")]
    NoName,
    #[error(
        "the server's certificate is signed by none of the authorities in --multiplexer-tls-ca"
    )]
    Untrusted(#[source] io::Error),
    #[error(
        "the server's certificate is for another name; dial the name that it is for, or give --multiplexer-tls-server-name"
    )]
    OtherName(#[source] io::Error),
    #[error(
        "the server's certificate has expired; its --multiplexer-tls-certificate needs a new one"
    )]
    Expired(#[source] io::Error),
    #[error("the server's certificate is revoked by --multiplexer-tls-crl")]
    Revoked(#[source] io::Error),
    #[error(
        "--multiplexer-tls-crl has no list of the authority that signed the server's certificate"
    )]
    Unlisted(#[source] io::Error),
    #[error("the server showed no certificate, which --multiplexer-tls-ca asks for")]
    NothingShown,
    #[error("the server's certificate cannot be used")]
    Certificate(#[source] io::Error),
    #[error(
        "the server asks for a certificate; give --multiplexer-tls-certificate and --multiplexer-tls-key"
    )]
    NoCertificate,
    #[error("the server does not accept the certificate in --multiplexer-tls-certificate ({0})")]
    Refused(&'static str),
    #[error(
        "the address speaks TLS, and not the tunnel protocol (ALPN {ALPN}); an edge dials the server's multiplexer \
         listener"
    )]
    NoTunnels,
    #[error("the server speaks no TLS 1.3")]
    Version(#[source] io::Error),
    #[error(
        "the address does not speak TLS; give the server --multiplexer-tls-certificate and --multiplexer-tls-key, or \
         leave out --multiplexer-tls-ca here"
    )]
    NoTls(#[source] io::Error),
    #[error(
        "the server hung up during the TLS handshake; where it speaks no TLS, leave out --multiplexer-tls-ca here"
    )]
    HungUp(#[source] io::Error),
    #[error("the TLS handshake failed")]
    Failed(#[source] io::Error),
}

impl ServerTlsError {
    /// Whether trying again soon can help.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::HungUp(_) | Self::Failed(_))
    }
}

/// What failed, in words for whoever set up the edge.
pub(super) fn explain(error: io::Error) -> ServerTlsError {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref());
    match tls {
        Some(Error::AlertReceived(alert)) => of_alert(*alert).unwrap_or(match alert {
            AlertDescription::ProtocolVersion => ServerTlsError::Version(error),
            // What a listener of ours says that has none.
            AlertDescription::HandshakeFailure => ServerTlsError::NoTls(error),
            _ => ServerTlsError::Failed(error),
        }),
        Some(Error::InvalidCertificate(invalid)) => match invalid {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                ServerTlsError::Untrusted(error)
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                ServerTlsError::OtherName(error)
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                ServerTlsError::Expired(error)
            }
            CertificateError::Revoked => ServerTlsError::Revoked(error),
            CertificateError::UnknownRevocationStatus => ServerTlsError::Unlisted(error),
            _ => ServerTlsError::Certificate(error),
        },
        Some(Error::NoCertificatesPresented) => ServerTlsError::NothingShown,
        Some(Error::PeerIncompatible(_)) => ServerTlsError::Version(error),
        Some(Error::InvalidMessage(_)) => ServerTlsError::NoTls(error),
        // As one does that goes away, and the original's, which takes it for yamux.
        None if error.kind() == io::ErrorKind::UnexpectedEof => ServerTlsError::HungUp(error),
        _ => ServerTlsError::Failed(error),
    }
}

/// What a server means with an alert about this edge.
pub(super) fn of_alert(alert: AlertDescription) -> Option<ServerTlsError> {
    Some(match alert {
        AlertDescription::CertificateRequired => ServerTlsError::NoCertificate,
        AlertDescription::CertificateRevoked => ServerTlsError::Refused("it is revoked"),
        AlertDescription::CertificateExpired => ServerTlsError::Refused("it has expired"),
        AlertDescription::UnknownCA => {
            ServerTlsError::Refused("it is signed by no authority that the server trusts")
        }
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::DecryptError
        | AlertDescription::AccessDenied => ServerTlsError::Refused("the server's log says why"),
        AlertDescription::NoApplicationProtocol => ServerTlsError::NoTunnels,
        _ => return None,
    })
}
