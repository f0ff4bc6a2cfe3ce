//! TLS towards a server.
//!
//! With TLS 1.3 a server says no to an edge's certificate after the edge took the handshake for done, so the word is noted
//! where it comes, and asked for when the tunnel did not come up.

mod failure;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use grpc_multiplexer_process::{HostPort, Shown, channel_binding, server_name};
use grpc_multiplexer_tunnel::{ALPN, BoxedIo, Channel};
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{AlertDescription, ClientConfig, Error};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) use failure::ServerTlsError;
use failure::{explain, of_alert};

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
