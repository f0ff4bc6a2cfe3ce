//! The server: edges dial in, callers call, and calls reach the edge that their `client-id` metadata names.
//!
//! The parts, in the order in which a call meets them: `proxy` (listener, checks, routing, the pump), `registry` (which
//! edge has which id), `edge` (its lanes: HTTP/2 connections over its tunnel). `discovery` shows the registry to
//! callers.
//!
//! As a library it is [`Server`]: made from two listeners, run until a token is cancelled.

mod accept;
mod config;
mod credential;
mod discovery;
mod doors;
mod duplicates;
mod edge;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod gather;
mod greet;
mod guard;
mod hooks;
mod http1;
mod jwt;
mod limits;
mod methods;
mod metrics;
mod moment;
mod newcomers;
mod operator;
mod options;
mod overload;
mod policy;
mod proxy;
mod registry;
mod rewind;
mod services;
mod settings;
mod shutdown;
mod state_dir;
mod subcommand;
mod trust;
mod upgrade;
mod url;
mod waiting;
mod windows;

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use grpc_multiplexer_process::{AdminError, HandoverError, Readiness, Remarks, Seldom, Sockets};
use prometheus_client::registry::Registry as Families;
use rand::Rng as _;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use credential::{Enrolled, Failures};
use doors::{Doors, MULTIPLEXER, PROXY};
use edge::lanes::Terms;
use edge::listener::Edges;
use guard::Floods;
use hooks::{Hooks, Journal};
use jwt::Verifier;
use metrics::{EdgesNow, Metrics};
use newcomers::Newcomers;
use operator::{OPERATOR, Operators};
use overload::Overload;
use policy::Audit;
use proxy::crowd::Crowd;
use proxy::listener::Callers;
use proxy::{Local, Proxy, Record};
use registry::Registry;
use settings::Live;
use shutdown::Shutdown;
use state_dir::StateDir;
use upgrade::Upgrade;

pub use config::ServerConfig;
pub use credential::{
    CertificateIds, CertificateIdsError, EdgeJwts, Grants, Keys, Tokens, WrongLine,
};
pub use duplicates::{DuplicateClientId, DuplicateClientIdError};
pub use grpc_multiplexer_process::{BindError, HostPort, HostPortError, Threads};
pub use grpc_multiplexer_proto::CLIENT_ID_METADATA_KEY;
pub use hooks::HookSettings;
pub use jwt::{JwtClaim, JwtClaimError, JwtIssuer, WrongKeys};
pub use limits::{Limits, MetadataLimits};
pub use options::PROGRAM;
pub use policy::{CallersPolicy, TokenMetadata, TokenMetadataError, WrongPlace};
pub use proxy::{ForwardedHeaders, ForwardedHeadersError};
pub use settings::Settings;
pub use state_dir::StateError;
pub use subcommand::subcommand;
pub use waiting::WaitSettings;

/// How long the hook may take to hear that all edges are gone, when a server stops.
const LAST_EVENTS: Duration = Duration::from_secs(2);

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
    sockets: Sockets,
    upgrade: Option<Upgrade>,
    settings: Live,
    registry: Arc<Registry>,
    metrics: Metrics,
    readiness: Readiness,
    threads: Threads,
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
    /// The operator listener's address.
    #[error("--operator-listener")]
    Operator(#[source] BindError),
    /// The admin listener.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The sockets that listen cannot be used.
    #[error("listening sockets")]
    Listen(#[from] io::Error),
    /// The process before did not hand over.
    #[error("--upgrade-socket")]
    Upgrade(#[from] HandoverError),
    /// The folder of what must outlive the server.
    #[error("--state-dir")]
    State(#[from] StateError),
    /// The descriptors of our own services do not fit together.
    #[error("reflection")]
    Reflection(#[from] tonic_reflection::server::Error),
}

impl Server {
    /// A server for the callers that come to `proxy`, and the edges that come to `multiplexer`. Nobody is served before
    /// [`Server::run`], but nobody is refused either.
    #[must_use]
    pub fn new(proxy: TcpListener, multiplexer: TcpListener) -> Self {
        let mut sockets = Sockets::default();
        sockets.add(PROXY, proxy);
        sockets.add(MULTIPLEXER, multiplexer);
        Self::of(sockets)
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
        Self::on(Sockets::default(), proxy, multiplexer).await
    }

    /// The same as a program's configuration says it, on the sockets of the process before where that hands over.
    ///
    /// # Errors
    ///
    /// Those of [`Server::bind`], [`StartError::Operator`] and [`StartError::Upgrade`].
    pub async fn start(config: &ServerConfig) -> Result<Self, StartError> {
        let (upgrade, left) = match &config.upgrade_socket {
            Some(path) => {
                let (upgrade, left) = Upgrade::begin(path.clone()).await?;
                (Some(upgrade), left)
            }
            None => (None, Sockets::default()),
        };
        let (proxy, multiplexer) = (&config.proxy_listener, &config.multiplexer_listener);
        let mut server = Self::on(left, proxy, multiplexer).await?;
        if let Some(address) = &config.operator_listener {
            let bound = server.sockets.bind(OPERATOR, address).await;
            bound.map_err(StartError::Operator)?;
        }
        Ok(Self { upgrade, ..server })
    }

    async fn on(
        mut sockets: Sockets,
        proxy: &HostPort,
        multiplexer: &HostPort,
    ) -> Result<Self, StartError> {
        let bound = sockets.bind(PROXY, proxy).await;
        bound.map_err(StartError::Proxy)?;
        let bound = sockets.bind(MULTIPLEXER, multiplexer).await;
        bound.map_err(StartError::Multiplexer)?;
        Ok(Self::of(sockets))
    }

    fn of(sockets: Sockets) -> Self {
        Self {
            sockets,
            upgrade: None,
            settings: Live::Fixed(Box::default()),
            registry: Registry::new(),
            metrics: Metrics::default(),
            readiness: Readiness::default(),
            threads: Threads::default(),
        }
    }

    /// What it listens on. More that is opened here is handed over with the rest.
    pub fn sockets(&mut self) -> &mut Sockets {
        &mut self.sockets
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

    /// Serves each connection on one of these threads, and only keeps house on the runtime that it is run on.
    #[must_use]
    pub fn on_threads(mut self, threads: Threads) -> Self {
        self.threads = threads;
        self
    }

    /// The addresses that callers call, joined by `,`.
    #[must_use]
    pub fn proxy_addresses(&self) -> String {
        self.sockets.addresses(PROXY)
    }

    /// The addresses that edges dial, joined by `,`.
    #[must_use]
    pub fn multiplexer_addresses(&self) -> String {
        self.sockets.addresses(MULTIPLEXER)
    }

    /// The addresses where operators come, joined by `,`; `None` where there are none.
    #[must_use]
    pub fn operator_addresses(&self) -> Option<String> {
        Some(self.sockets.addresses(OPERATOR)).filter(|addresses| !addresses.is_empty())
    }

    /// Serves until `stop` is cancelled, or a new process took over; then takes nothing new, lets calls in flight finish
    /// within the drain timeout, and returns.
    ///
    /// # Errors
    ///
    /// [`StartError::Reflection`], [`StartError::Listen`] and [`StartError::State`] before it serves, and [`StartError::Upgrade`] when the path for
    /// the next process cannot be used, or the process before took everything back.
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
        let [edges_jwts, callers_jwts] = [Verifier::of_edges, Verifier::of_callers]
            .map(|of| Arc::new(of(self.settings.clone(), self.metrics.key_fetches.clone())));
        for jwts in [&edges_jwts, &callers_jwts] {
            watch.spawn(Arc::clone(jwts).keep());
        }
        let state_dir = self.settings.now(|settings| settings.state_dir.clone());
        let enrolled = match state_dir.clone() {
            Some(dir) => Some(Arc::new(Enrolled::open(dir).await?)),
            None => None,
        };
        if let Some(enrolled) = &enrolled {
            watch.spawn(Arc::clone(enrolled).keep());
        }
        let registry = self.registry;
        let outbox = Arc::clone(registry.outbox());
        let (services, health) = services::own_services(Arc::clone(&registry)).await?;
        let server_id = format!("{:032x}", rand::rng().random::<u128>());
        let hooks = Hooks::new(
            self.settings.clone(),
            server_id.clone(),
            self.metrics.hooks.clone(),
        );
        let hooks = Arc::new(hooks);
        if hooks.is_told() {
            outbox.open(self.metrics.hooks.clone());
            let mut journal = None;
            if let Some(dir) = state_dir.as_deref().map(StateDir::at) {
                let (opened, writer) = Journal::open(dir.clone(), &server_id).await?;
                journal = Some(opened);
                watch.spawn(writer.run());
                watch.spawn(Arc::clone(&hooks).tell_what_is_left(dir));
            }
            watch.spawn(Arc::clone(&hooks).tell(Arc::clone(&outbox), journal));
        }
        let floods = Arc::new(Floods::new(self.metrics.clone()));
        let config = self.settings.now(|settings| settings.tunnel.clone());
        let lanes = Terms {
            limits: limits.per_edge(),
            dial_timeout: config.dial_timeout,
            cancels: self.metrics.cancels.clone(),
            floods: Arc::clone(&floods),
        };
        let edges = Arc::new(Edges {
            lanes: Arc::new(lanes),
            registry: Arc::clone(&registry),
            config,
            newcomers: Newcomers::new(limits.handshakes),
            threads: self.threads.clone(),
            tunnels: Arc::new(Semaphore::new(limits.tunnels)),
            overload: Arc::clone(&overload),
            turned_away: Seldom::default(),
            limits: limits.clone(),
            settings: self.settings.clone(),
            proxy_port: self.sockets.port(PROXY),
            remarks: Remarks::default(),
            failures: Failures::default(),
            jwts: Arc::clone(&edges_jwts),
            enrolled,
            metrics: self.metrics.clone(),
            server_id,
            hooks: Arc::clone(&hooks),
            close: shutdown.close_tunnels.clone(),
            tasks: TaskTracker::new(),
        });
        let operators = Operators::new(
            Arc::clone(&registry),
            self.settings.clone(),
            self.threads.clone(),
            shutdown.drain.clone(),
        )?;
        let record = Arc::new(Record::new(self.metrics.clone()));
        let callers = Arc::new(Callers {
            proxy: Arc::new(Proxy {
                registry,
                hooks,
                settings: self.settings.clone(),
                local: Local::new(services, overload.stalled(), shutdown.drain.clone()),
                record,
                audit: Audit::new(self.settings.clone()),
                failures: Failures::default(),
                jwts: Arc::clone(&callers_jwts),
                metadata: limits.metadata,
                overload,
                drain: shutdown.drain.clone(),
                cut: shutdown.cut.clone(),
            }),
            drain: shutdown.drain.clone(),
            close: shutdown.close.clone(),
            connections: TaskTracker::new(),
            calls: TaskTracker::new(),
            multiplexer_port: self.sockets.port(MULTIPLEXER),
            remarks: Remarks::default(),
            floods,
            metrics: self.metrics,
            met: AtomicU64::new(0),
            crowd: Crowd::new(
                limits.caller_connections,
                limits.caller_connections_per_address,
            ),
            newcomers: Newcomers::new(limits.handshakes),
            threads: self.threads,
            turned_away: Seldom::default(),
            limits,
        });
        let mut doors = Doors::new(&edges, &callers, operators, self.sockets)?;
        let serve = async {
            match self.upgrade {
                Some(upgrade) => upgrade.run(&mut doors, &edges).await,
                None => {
                    doors.open();
                    pending().await
                }
            }
        };
        // Cancelled by the signal, a hand-over under way is off, and what was handed stays with the other process.
        let served = stop.run_until_cancelled(serve).await;
        self.readiness.set("draining", true);
        if served.is_some() {
            self.readiness.leave_to_another();
        }
        let drain_timeout = self.settings.now(|settings| settings.drain_timeout);
        shutdown
            .run(doors, &edges, &callers, &health, drain_timeout)
            .await;
        // What it was not told by then it does not hear any more.
        let _ = timeout(LAST_EVENTS, outbox.emptied()).await;
        // What it took so far ended in order, whatever the reason.
        Ok(served.transpose().map(drop)?)
    }
}
