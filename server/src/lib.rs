//! The server: edges dial in, callers call, and calls reach the edge that their `client-id` metadata names.
//!
//! The parts, in the order in which a call meets them: `proxy` (listener, checks, routing, the pump), `registry` (which
//! edge has which id), `edge` (its lanes: HTTP/2 connections over its tunnel). `discovery` shows the registry to
//! callers.
//!
//! As a library it is [`Server`]: made from two listeners, run until a token is cancelled.

mod accept;
mod config;
mod discovery;
mod duplicates;
mod edge;
mod greet;
mod limits;
mod metrics;
mod newcomers;
mod options;
mod overload;
mod proxy;
mod registry;
mod rewind;
mod seldom;
mod services;
mod settings;
mod shutdown;
mod waiting;
mod windows;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use grpc_multiplexer_process::{AdminError, Readiness, bind, local_addresses};
use prometheus_client::registry::Registry as Families;
use rand::Rng as _;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use edge::listener::Edges;
use greet::Mistakes;
use metrics::{EdgesNow, Metrics};
use newcomers::Newcomers;
use overload::Overload;
use proxy::crowd::Crowd;
use proxy::listener::Callers;
use proxy::{Local, Proxy, Record};
use registry::Registry;
use seldom::Seldom;
use settings::Live;
use shutdown::Shutdown;

pub use config::ServerConfig;
pub use duplicates::{DuplicateClientId, DuplicateClientIdError};
pub use grpc_multiplexer_process::{BindError, HostPort, HostPortError};
pub use grpc_multiplexer_proto::CLIENT_ID_METADATA_KEY;
pub use limits::{Limits, MetadataLimits};
pub use options::PROGRAM;
pub use settings::Settings;
pub use waiting::WaitSettings;

/// A server whose sockets listen, ready to run.
///
/// ```
/// use grpc_multiplexer_proto::v1::ListGrpcServerRequest;
/// use grpc_multiplexer_proto::v1::discovery_service_client::DiscoveryServiceClient;
/// use grpc_multiplexer_server::Server;
/// use tokio::net::TcpListener;
/// use tokio_util::sync::CancellationToken;
/// use tonic::transport::Endpoint;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let callers = TcpListener::bind("localhost:0").await?;
/// let edges = TcpListener::bind("localhost:0").await?;
/// let proxy = format!("http://{}", callers.local_addr()?);
///
/// let stop = CancellationToken::new();
/// let server = tokio::spawn(Server::new(callers, edges).run(stop.clone()));
///
/// let channel = Endpoint::from_shared(proxy)?.connect().await?;
/// let mut discovery = DiscoveryServiceClient::new(channel);
/// let listed = discovery.list_grpc_server(ListGrpcServerRequest::default()).await?;
/// assert!(listed.into_inner().servers.is_empty());
///
/// stop.cancel();
/// server.await??;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    proxy: Vec<TcpListener>,
    multiplexer: Vec<TcpListener>,
    settings: Live,
    registry: Arc<Registry>,
    metrics: Metrics,
    readiness: Readiness,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The proxy listener's address.
    #[error("--proxy-listener")]
    Proxy(#[source] BindError),
    /// The multiplexer listener's address.
    #[error("--multiplexer-listener")]
    Multiplexer(#[source] BindError),
    /// The admin listener.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The descriptors of our own services do not fit together.
    #[error("reflection")]
    Reflection(#[from] tonic_reflection::server::Error),
}

impl Server {
    /// A server for the callers that come to `proxy`, and the edges that come to `multiplexer`. Nobody is served before
    /// [`Server::run`], but nobody is refused either.
    #[must_use]
    pub fn new(proxy: TcpListener, multiplexer: TcpListener) -> Self {
        Self::of(vec![proxy], vec![multiplexer])
    }

    /// The same on every address that two names stand for: `localhost` is two addresses, and an empty host is all.
    ///
    /// ```
    /// # use grpc_multiplexer_server::Server;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = Server::bind(&"localhost:0".parse()?, &"localhost:0".parse()?).await?;
    /// assert!(server.proxy_addresses().starts_with("127.0.0.1:"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StartError::Proxy`] and [`StartError::Multiplexer`] for the addresses.
    pub async fn bind(proxy: &HostPort, multiplexer: &HostPort) -> Result<Self, StartError> {
        let proxy = bind(proxy).await.map_err(StartError::Proxy)?;
        let multiplexer = bind(multiplexer).await.map_err(StartError::Multiplexer)?;
        Ok(Self::of(proxy, multiplexer))
    }

    fn of(proxy: Vec<TcpListener>, multiplexer: Vec<TcpListener>) -> Self {
        Self {
            proxy,
            multiplexer,
            settings: Live::Fixed(Box::default()),
            registry: Registry::new(),
            metrics: Metrics::default(),
            readiness: Readiness::default(),
        }
    }

    /// Behaves as `settings` say, and not as by default.
    #[must_use]
    pub fn with_settings(mut self, settings: Settings) -> Self {
        self.settings = Live::Fixed(Box::new(settings));
        self
    }

    /// Behaves as `configs` says, from now on; the listeners stay those that are bound.
    #[must_use]
    pub fn reloading(mut self, configs: watch::Receiver<ServerConfig>) -> Self {
        self.settings = Live::Reloading(configs);
        self
    }

    /// Counts in `families`, and tells `readiness` why it should get no calls while it should not.
    #[must_use]
    pub fn observed(mut self, families: &mut Families, readiness: Readiness) -> Self {
        self.metrics.register(families);
        families.register_collector(Box::new(EdgesNow(Arc::clone(&self.registry))));
        self.readiness = readiness;
        self
    }

    /// The addresses that callers call, joined by `,`.
    #[must_use]
    pub fn proxy_addresses(&self) -> String {
        local_addresses(&self.proxy)
    }

    /// The addresses that edges dial, joined by `,`.
    #[must_use]
    pub fn multiplexer_addresses(&self) -> String {
        local_addresses(&self.multiplexer)
    }

    /// Serves until `stop` is cancelled; then takes nothing new, lets calls in flight finish within the drain timeout,
    /// and returns.
    ///
    /// # Errors
    ///
    /// [`StartError::Reflection`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cuts every call and tunnel.
    pub async fn run(self, stop: CancellationToken) -> Result<(), StartError> {
        let shutdown = Shutdown::default();
        let _always = shutdown.at_once_when_dropped();
        let limits = self.settings.now(|settings| settings.limits.clone());
        let overload = Overload::new(&limits);
        let mut watch = JoinSet::new();
        let watched = Arc::clone(&overload).watch(self.metrics.clone(), self.readiness.clone());
        watch.spawn(watched);
        let registry = self.registry;
        let (services, health) = services::own_services(Arc::clone(&registry)).await?;
        let edges = Arc::new(Edges {
            registry: Arc::clone(&registry),
            config: self.settings.now(|settings| settings.tunnel.clone()),
            newcomers: Newcomers::new(limits.handshakes),
            tunnels: Arc::new(Semaphore::new(limits.tunnels)),
            overload: Arc::clone(&overload),
            turned_away: Seldom::default(),
            limits: limits.clone(),
            settings: self.settings.clone(),
            proxy_port: port(&self.proxy),
            mistakes: Mistakes::default(),
            metrics: self.metrics.clone(),
            server_id: format!("{:032x}", rand::rng().random::<u128>()),
            close: shutdown.close_tunnels.clone(),
            tasks: TaskTracker::new(),
        });
        let record = Arc::new(Record::new(self.metrics.clone()));
        let callers = Arc::new(Callers {
            proxy: Arc::new(Proxy {
                registry,
                settings: self.settings.clone(),
                local: Local::new(services, shutdown.drain.clone()),
                record,
                metadata: limits.metadata,
                overload,
                drain: shutdown.drain.clone(),
                cut: shutdown.cut.clone(),
            }),
            drain: shutdown.drain.clone(),
            close: shutdown.close.clone(),
            connections: TaskTracker::new(),
            calls: TaskTracker::new(),
            multiplexer_port: port(&self.multiplexer),
            mistakes: Mistakes::default(),
            metrics: self.metrics,
            met: AtomicU64::new(0),
            crowd: Crowd::new(
                limits.caller_connections,
                limits.caller_connections_per_address,
            ),
            newcomers: Newcomers::new(limits.handshakes),
            turned_away: Seldom::default(),
            limits,
        });
        let mut listeners = JoinSet::new();
        for listener in self.multiplexer {
            listeners.spawn(Arc::clone(&edges).listen(listener, shutdown.drain.clone()));
        }
        for listener in self.proxy {
            listeners.spawn(Arc::clone(&callers).listen(listener));
        }
        stop.cancelled().await;
        self.readiness.set("draining", true);
        let drain_timeout = self.settings.now(|settings| settings.drain_timeout);
        shutdown
            .run(listeners, &edges, &callers, &health, drain_timeout)
            .await;
        Ok(())
    }
}

/// The port that all of `listeners` share.
fn port(listeners: &[TcpListener]) -> u16 {
    let address = listeners.first().map(TcpListener::local_addr);
    // A listening socket always has an address.
    address
        .and_then(Result::ok)
        .map_or(0, |address| address.port())
}
