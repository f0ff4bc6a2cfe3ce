//! The server: edges dial in, callers call, and calls reach the edge that their `client-id` metadata names.
//!
//! The parts, in the order in which a call meets them: `proxy` (listener, checks, routing, the pump), `registry` (which
//! edge has which id), `edge` (its lanes: HTTP/2 connections over its tunnel). `discovery` shows the registry to
//! callers.

mod accept;
mod config;
mod discovery;
mod edge;
mod options;
mod proxy;
mod registry;
mod services;
mod shutdown;
mod windows;

use std::sync::Arc;

use grpc_multiplexer_process::{BindError, bind, local_addresses};
use rand::Rng as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use edge::listener::Edges;
use proxy::listener::Callers;
use proxy::{Local, Proxy, Record};
use registry::Registry;
use shutdown::Shutdown;

pub use config::ServerConfig;
pub use options::PROGRAM;

/// A server whose sockets listen, ready to run.
#[derive(Debug)]
pub struct Server {
    proxy: Vec<TcpListener>,
    multiplexer: Vec<TcpListener>,
    config: ServerConfig,
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
    /// The descriptors of our own services do not fit together.
    #[error("reflection")]
    Reflection(#[from] tonic_reflection::server::Error),
}

impl Server {
    /// Binds both listeners. Nobody is served before [`Server::run`], but nobody is refused either.
    ///
    /// # Errors
    ///
    /// [`StartError::Proxy`] and [`StartError::Multiplexer`] for the addresses.
    pub async fn bind(config: ServerConfig) -> Result<Self, StartError> {
        Ok(Self {
            proxy: bind(&config.proxy_listener)
                .await
                .map_err(StartError::Proxy)?,
            multiplexer: bind(&config.multiplexer_listener)
                .await
                .map_err(StartError::Multiplexer)?,
            config,
        })
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
    /// Dropping the future stops taking connections; what is open is cut when the runtime ends.
    pub async fn run(self, stop: CancellationToken) -> Result<(), StartError> {
        let shutdown = Shutdown::default();
        let registry = Registry::new();
        let (services, health) = services::own_services(Arc::clone(&registry)).await?;
        let edges = Arc::new(Edges {
            registry: Arc::clone(&registry),
            config: self.config.tunnel,
            server_id: format!("{:032x}", rand::rng().random::<u128>()),
            tasks: TaskTracker::new(),
        });
        let record = Arc::new(Record::default());
        let callers = Arc::new(Callers {
            proxy: Arc::new(Proxy {
                registry,
                local: Local::new(services, shutdown.drain.clone()),
                record,
                cut: shutdown.cut.clone(),
            }),
            drain: shutdown.drain.clone(),
            close: shutdown.close.clone(),
            connections: TaskTracker::new(),
            calls: TaskTracker::new(),
        });
        let mut listeners = JoinSet::new();
        for listener in self.multiplexer {
            listeners.spawn(Arc::clone(&edges).listen(listener, shutdown.drain.clone()));
        }
        for listener in self.proxy {
            listeners.spawn(Arc::clone(&callers).listen(listener));
        }
        stop.cancelled().await;
        shutdown
            .run(
                listeners,
                &edges,
                &callers,
                &health,
                self.config.drain_timeout,
            )
            .await;
        Ok(())
    }
}
