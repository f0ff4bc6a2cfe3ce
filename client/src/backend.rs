//! Where the backend is, and how a stream of the tunnel gets there.

mod address;
mod dial;
mod mode;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use grpc_multiplexer_process::HostPort;
use grpc_multiplexer_tunnel::{BoxedIo, Session, TunnelStream};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::timeout;

pub use address::{BackendAddress, BackendAddressError};
pub(crate) use dial::DialError;
use dial::connect;
pub use mode::{BackendMode, UnknownBackendMode};

use crate::embed::{EdgeIncoming, EdgeStream, hand_over};
use crate::legacy;
use crate::splice::splice;
use crate::terminate::{self, Budget};

/// TLS towards a backend.
#[derive(Debug, Clone)]
pub struct BackendTls {
    /// How to check the backend. It must offer `h2`, and nothing else, as application protocol (ALPN).
    pub config: Arc<ClientConfig>,
    /// For which name.
    pub server_name: ServerName<'static>,
}

/// A backend: where it is, and what callers' calls look like to it. Its `Display` says where it is.
#[derive(Debug, Clone)]
pub struct Backend {
    place: Place,
    authority: String,
    mode: BackendMode,
    /// Of all connections to it.
    budget: Budget,
}

#[derive(Debug, Clone)]
enum Place {
    /// TLS is there iff the address is [`BackendAddress::Tls`].
    Address(BackendAddress, Option<BackendTls>),
    InProcess(mpsc::Sender<EdgeStream>),
}

/// A backend that answered, and waits for a stream.
pub(crate) enum Reached {
    Socket(BoxedIo),
    InProcess(mpsc::OwnedPermit<EdgeStream>),
}

impl Backend {
    /// A backend at `address`. One at [`BackendAddress::Tls`] cannot be reached before [`Backend::with_tls`] says how.
    #[must_use]
    pub fn new(address: BackendAddress) -> Self {
        let authority = match &address {
            BackendAddress::Tcp(address) | BackendAddress::Tls(address) => address.to_string(),
            BackendAddress::Unix(_) => "localhost".to_owned(),
        };
        Self {
            place: Place::Address(address, None),
            authority,
            mode: BackendMode::default(),
            budget: Budget::default(),
        }
    }

    /// A gRPC server in this process, and what it is to serve. No port, no socket: streams of the tunnel go straight to
    /// the server. It ends by itself once the edge has drained.
    ///
    /// ```
    /// use grpc_multiplexer_client::{Backend, CLIENT_ID_METADATA_KEY, Edge};
    /// use tokio_util::sync::CancellationToken;
    /// use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    /// # use tonic_health::pb::health_check_response::ServingStatus;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let callers = tokio::net::TcpListener::bind("localhost:0").await?;
    /// # let edges = tokio::net::TcpListener::bind("localhost:0").await?;
    /// # let proxy = tonic::transport::Endpoint::from_shared(format!("http://{}", callers.local_addr()?))?;
    /// # let multiplexer = edges.local_addr()?;
    /// # let stop_server = CancellationToken::new();
    /// # let server = grpc_multiplexer_server::Server::new(callers, edges);
    /// # let server = tokio::spawn(server.run(stop_server.clone()));
    ///
    /// // Beside the server's services, here only health:
    /// let (_, health) = tonic_health::server::health_reporter();
    ///
    /// let (backend, incoming) = Backend::in_process();
    /// let serving = tokio::spawn(
    ///     tonic::transport::Server::builder()
    ///         .add_service(health)
    ///         .serve_with_incoming(incoming),
    /// );
    /// let stop = CancellationToken::new();
    /// let edge = Edge::new("rainbow".parse()?, backend, multiplexer.into());
    /// let edge = tokio::spawn(edge.run(stop.clone()));
    ///
    /// // A caller, anywhere:
    /// let mut caller = HealthClient::new(proxy.connect().await?);
    /// let answer = loop {
    ///     let mut request = tonic::Request::new(HealthCheckRequest::default());
    ///     request.metadata_mut().insert(CLIENT_ID_METADATA_KEY, "rainbow".parse()?);
    ///     match caller.check(request).await {
    ///         // The tunnel is not up yet.
    ///         Err(status) if status.code() == tonic::Code::NotFound => tokio::task::yield_now().await,
    ///         answer => break answer?,
    ///     }
    /// };
    /// assert_eq!(answer.into_inner().status(), ServingStatus::Serving);
    ///
    /// stop.cancel();
    /// edge.await?;
    /// serving.await??;
    /// # stop_server.cancel();
    /// # server.await??;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn in_process() -> (Self, EdgeIncoming) {
        let (streams, incoming) = hand_over();
        let backend = Self {
            place: Place::InProcess(streams),
            authority: "localhost".to_owned(),
            mode: BackendMode::default(),
            budget: Budget::default(),
        };
        (backend, incoming)
    }

    /// How an `https` backend is checked. Others are not.
    #[must_use]
    pub fn with_tls(mut self, tls: BackendTls) -> Self {
        if let Place::Address(BackendAddress::Tls(_), known) = &mut self.place {
            *known = Some(tls);
        }
        self
    }

    /// The `:authority` that the backend sees. Default: the address's host and port, `localhost` where there are none.
    #[must_use]
    pub fn with_authority(mut self, authority: impl Into<String>) -> Self {
        self.authority = authority.into();
        self
    }

    /// How bytes go to it. A backend [in this process](Self::in_process) reads the tunnel's streams itself, whatever is said here.
    /// Default [`BackendMode::Splice`].
    #[must_use]
    pub fn with_mode(mut self, mode: BackendMode) -> Self {
        self.mode = mode;
        self
    }

    pub(crate) fn is_terminated(&self) -> bool {
        self.mode == BackendMode::Terminate && !self.is_in_process()
    }

    /// The `:authority` it sees.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// The `:scheme` it sees.
    pub(crate) fn scheme(&self) -> &'static str {
        match self.place {
            Place::Address(BackendAddress::Tls(_), _) => "https",
            _ => "http",
        }
    }

    /// Where it is, if what is said to it goes over a network without TLS.
    pub(crate) fn in_plain_text(&self) -> Option<&HostPort> {
        match &self.place {
            Place::Address(BackendAddress::Tcp(address), _) => Some(address),
            _ => None,
        }
    }

    pub(crate) fn is_in_process(&self) -> bool {
        matches!(self.place, Place::InProcess(_))
    }

    /// Sees that somebody is there to take a stream. It may take `limit`.
    pub(crate) async fn reach(&self, limit: Duration) -> Result<Reached, DialError> {
        match &self.place {
            Place::Address(address, tls) => timeout(limit, connect(address, tls.as_ref()))
                .await
                .map_err(|_| DialError::Timeout(limit))?
                .map(Reached::Socket),
            Place::InProcess(streams) => match streams.clone().try_reserve_owned() {
                Ok(permit) => Ok(Reached::InProcess(permit)),
                Err(TrySendError::Closed(_)) => Err(DialError::Ended),
                Err(TrySendError::Full(_)) => Err(DialError::Stuck),
            },
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Address(address, _) => address.fmt(f),
            Place::InProcess(_) => f.write_str("in-process"),
        }
    }
}

impl Reached {
    /// Carries `stream`, to its end or out of our hands. `hear` is told what a backend behind a socket says first,
    /// or how it broke off.
    pub(crate) async fn carry(
        self,
        stream: TunnelStream,
        session: &Session,
        backend: &Backend,
        hear: impl FnOnce(Result<&[u8], &io::Error>),
    ) {
        match self {
            Self::Socket(io) if stream.is_legacy() => {
                legacy::splice(stream, io, backend, hear).await;
            }
            Self::Socket(io) => match backend.mode {
                BackendMode::Splice => splice(stream, io, hear).await,
                BackendMode::Terminate => {
                    let budget = backend.budget.clone();
                    terminate::splice(stream, io, session, budget, hear).await;
                }
            },
            Self::InProcess(permit) => {
                permit.send(EdgeStream::new(stream));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backend_sees_its_own_address_unless_told_otherwise() {
        let seen = |text: &str, authority: Option<&str>| {
            let address = text.parse().unwrap();
            let mut backend = Backend::new(address);
            if let Some(authority) = authority {
                backend = backend.with_authority(authority);
            }
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
