//! TLS towards a server.
//!
//! With TLS 1.3 a server says no to an edge's certificate after the edge took the handshake for done, so the word is noted
//! where it comes, and asked for when the tunnel did not come up.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use grpc_multiplexer_process::{HostPort, Shown, channel_binding, server_name};
use grpc_multiplexer_tunnel::{ALPN, BoxedIo, Channel};
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, Error};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// TLS towards a server.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// How to check the server, and what to show to it. It must offer `grpc-multiplexer/1`, and nothing else, as application
    /// protocol (ALPN).
    pub config: Arc<ClientConfig>,
    /// For which name; without one, for the host of the address that is dialled.
    pub name: Option<ServerName<'static>>,
    /// What says of a server's certificate whether it is still good while a tunnel is up, as that of `config` does when it is
    /// dialled. Without one, a certificate is not looked at again.
    pub verifier: Option<Arc<dyn ServerCertVerifier>>,
}

/// The way to a server.
pub(crate) struct Link {
    pub(crate) io: BoxedIo,
    /// What the server said of it.
    pub(crate) alert: Alert,
    /// What both ends know of it.
    pub(crate) channel: Channel,
    /// What the server showed.
    pub(crate) showed: Shown,
}

impl Link {
    pub(crate) fn plain(io: BoxedIo) -> Self {
        Self {
            io,
            alert: Alert::default(),
            channel: Channel::Plain,
            showed: Shown::default(),
        }
    }
}

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

impl ServerTls {
    /// What a server is shown that asks for a certificate; nothing where that is not known before.
    pub(crate) fn certificate(&self) -> Vec<CertificateDer<'static>> {
        let shown = self.config.client_auth_cert_resolver.resolve(&[], &[]);
        shown.map(|shown| shown.cert.clone()).unwrap_or_default()
    }

    /// Sees whether `server` would be trusted now with what it `showed`.
    pub(crate) fn still_trusts(
        &self,
        server: &HostPort,
        showed: &Shown,
    ) -> Result<(), ServerTlsError> {
        let Some(verifier) = &self.verifier else {
            return Ok(());
        };
        let trusted = showed.is_trusted(&**verifier, &self.name_of(server)?);
        trusted.map_err(|error| explain(io::Error::other(error)))
    }

    /// The name that the certificate of `server` must be for.
    fn name_of(&self, server: &HostPort) -> Result<ServerName<'static>, ServerTlsError> {
        let name = self.name.clone().or_else(|| server_name(server.host()));
        name.ok_or(ServerTlsError::NoName)
    }

    /// Goes on with TLS over `io`, which leads to `server`. It has no deadline of its own.
    pub(crate) async fn secure(
        &self,
        server: &HostPort,
        io: BoxedIo,
    ) -> Result<Link, ServerTlsError> {
        let name = self.name_of(server)?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let stream = connector.connect(name, io).await.map_err(explain)?;
        if stream.get_ref().1.alpn_protocol() != Some(ALPN.as_bytes()) {
            return Err(ServerTlsError::NoTunnels);
        }
        let binding = channel_binding(stream.get_ref().1).map_err(ServerTlsError::Failed)?;
        let showed = Shown::of(stream.get_ref().1);
        let alert = Alert::default();
        let noting = Noting {
            stream,
            alert: alert.clone(),
        };
        Ok(Link {
            io: Box::new(noting),
            alert,
            channel: Channel::Tls(binding),
            showed,
        })
    }
}

/// What failed, in words for whoever set up the edge.
fn explain(error: io::Error) -> ServerTlsError {
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
fn of_alert(alert: AlertDescription) -> Option<ServerTlsError> {
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

/// What a server said in the language of TLS while a tunnel was on its way, if anything.
#[derive(Debug, Clone, Default)]
pub(crate) struct Alert(Arc<OnceLock<AlertDescription>>);

impl Alert {
    /// Why there is no tunnel, where that was it.
    pub(crate) fn explain(&self) -> Option<ServerTlsError> {
        of_alert(*self.0.get()?)
    }

    fn note<T>(&self, done: &Poll<io::Result<T>>) {
        if let Poll::Ready(Err(error)) = done
            && let Some(inner) = error.get_ref()
            && let Some(Error::AlertReceived(alert)) = inner.downcast_ref()
        {
            self.0.get_or_init(|| *alert);
        }
    }
}

/// A stream that notes an alert.
struct Noting {
    stream: TlsStream<BoxedIo>,
    alert: Alert,
}

impl AsyncRead for Noting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.alert.note(&done);
        done
    }
}

impl AsyncWrite for Noting {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
