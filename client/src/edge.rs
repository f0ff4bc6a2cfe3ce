//! What an edge is: a name, a backend, and the servers that it dials.

use std::future::pending;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use grpc_multiplexer_process::{DRAIN_TIME, HostPort, Readiness, Shown, until};
use grpc_multiplexer_tunnel::{
    BoxedIo, Chance, ClientId, HeartbeatTimes, Labels, SLOTS, TunnelConfig,
};
use prometheus_client::registry::Registry;
use rustls::pki_types::CertificateDer;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::connector::Connector;
use crate::credential::{Credential, KeptKey};
use crate::metrics::Metrics;
use crate::server_tls::ServerTlsError;
use crate::{Backend, EdgeConfig, EdgeToken, ServerTls, SshPrivateKey};

/// An edge, ready to run.
///
/// One that makes the gRPC server at `localhost:50051` reachable as `rainbow`:
///
/// ```
/// use grpc_multiplexer_client::{Backend, Edge};
/// use tokio_util::sync::CancellationToken;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let backend = Backend::new("localhost:50051".parse()?);
/// let edge = Edge::new("rainbow".parse()?, backend, "localhost:7602".parse()?);
///
/// let stop = CancellationToken::new();
/// # stop.cancel();
/// edge.run(stop).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Edge {
    pub(crate) client_id: ClientId,
    /// Whether somebody chose it.
    pub(crate) is_named: bool,
    /// What else it says of itself.
    pub(crate) labels: Labels,
    /// Tried in turn.
    pub(crate) servers: Vec<HostPort>,
    /// Without it servers are spoken to in plain text.
    pub(crate) tls: Option<ServerTls>,
    /// What servers are shown of who this is.
    pub(crate) credential: Option<Credential>,
    kept_key: KeptKey,
    pub(crate) backend: Backend,
    /// How many at a time.
    pub(crate) tunnels: u32,
    pub(crate) exit_on_superseded: bool,
    pub(crate) drain_timeout: Duration,
    pub(crate) tunnel_protocol: TunnelProtocol,
    pub(crate) tunnel: TunnelConfig,
    pub(crate) connector: Connector,
    pub(crate) metrics: Metrics,
    /// What was read last, for what can change while the edge runs.
    reloads: Option<watch::Receiver<EdgeConfig>>,
}

impl Edge {
    /// An edge that dials `server`'s multiplexer port once it runs, and makes `backend` reachable as `client_id`.
    #[must_use]
    pub fn new(client_id: ClientId, backend: Backend, server: HostPort) -> Self {
        Self {
            client_id,
            is_named: true,
            labels: Labels::default(),
            servers: vec![server],
            tls: None,
            credential: None,
            kept_key: KeptKey::default(),
            backend,
            tunnels: 1,
            exit_on_superseded: false,
            drain_timeout: DRAIN_TIME,
            tunnel_protocol: TunnelProtocol::default(),
            tunnel: TunnelConfig::default(),
            connector: Connector::Tcp,
            metrics: Metrics::default(),
            reloads: None,
        }
    }

    /// Servers to try in turn when the one before does not answer.
    #[must_use]
    pub fn with_further_servers(mut self, servers: impl IntoIterator<Item = HostPort>) -> Self {
        self.servers.extend(servers);
        self
    }

    /// Speaks TLS to the servers. Default plain text.
    #[must_use]
    pub fn with_tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Says more of the edge than its name: discovery shows it, and a server's policy of callers may go by it. It does not go over
    /// the original's wire, which is not tried then. Default nothing.
    #[must_use]
    pub fn with_labels(mut self, labels: Labels) -> Self {
        self.labels = labels;
        self
    }

    /// Shows servers a token. It goes out over TLS, or to this machine, and in no other way; and never over the original's
    /// wire, which is not tried then. An edge has a token, or a key, or neither. Default neither.
    #[must_use]
    pub fn with_token(mut self, token: EdgeToken) -> Self {
        self.credential = Some(Credential::Token(token));
        self
    }

    /// Tells servers the public half of a key, and proves to them that it has the other. That does not go over the
    /// original's wire either, which is not tried then. It takes the place of a token. Default neither.
    #[must_use]
    pub fn with_key(mut self, key: SshPrivateKey) -> Self {
        let key = key.into();
        self.credential = Some(Credential::Key {
            key,
            enrolment: None,
        });
        self
    }

    /// The same, and with the key a token: a server that does not know the key takes the token for it once, if it is one of
    /// `--edges-enrolment`, and knows the key from then on. Keep the key, as [`SshPrivateKey::read_or_make`] does. The token
    /// goes out as that of [`Edge::with_token`] does. Default none.
    #[must_use]
    pub fn with_enrolment(mut self, key: SshPrivateKey, token: EdgeToken) -> Self {
        let key = key.into();
        self.credential = Some(Credential::Key {
            key,
            enrolment: Some(token),
        });
        self
    }

    /// How many tunnels to keep side by side, from 1 to 8; any other number becomes the nearer of the two. Where there are
    /// several servers, each tunnel begins with another. Default 1.
    #[must_use]
    pub fn with_tunnels(mut self, tunnels: u32) -> Self {
        self.tunnels = tunnels.clamp(1, SLOTS);
        self
    }

    /// Whether to end once another edge takes the name, as a server lets it that is configured to; calls in flight finish
    /// first. Default no: the edge tries again after a minute.
    #[must_use]
    pub fn with_exit_on_superseded(mut self, exit: bool) -> Self {
        self.exit_on_superseded = exit;
        self
    }

    /// Which wire to speak with the servers. Default: whichever they speak.
    #[must_use]
    pub fn with_tunnel_protocol(mut self, protocol: TunnelProtocol) -> Self {
        self.tunnel_protocol = protocol;
        self
    }

    /// How long a tunnel may be silent before it is given up and dialled anew, at least 2 s. Default 20 s.
    #[must_use]
    pub fn with_tunnel_timeout(mut self, silence: Duration) -> Self {
        self.tunnel.heartbeat = Arc::new(HeartbeatTimes::closing_after(silence));
        self
    }

    /// From now on `configs` says how servers and a backend are spoken to with TLS when they are dialled, which token or key
    /// servers are shown, which labels the edge has, and how long calls may take to finish; everything else stays as it is.
    #[must_use]
    pub fn reloading(mut self, configs: watch::Receiver<EdgeConfig>) -> Self {
        self.reloads = Some(configs);
        self
    }

    /// Counts in `families`, and tells `readiness` why callers cannot reach the edge while they cannot.
    #[must_use]
    pub fn observed(mut self, families: &mut Registry, readiness: Readiness) -> Self {
        self.metrics = Metrics::new(families, readiness);
        self
    }

    /// Looks at what was read last.
    pub(crate) fn now<T>(&self, look: impl FnOnce(&Self) -> T) -> T {
        match &self.reloads {
            Some(configs) => look(&configs.borrow().edge),
            None => look(self),
        }
    }

    /// TLS towards servers, as it is to be for the next that is dialled.
    pub(crate) fn server_tls(&self) -> Option<ServerTls> {
        self.now(|edge| edge.tls.clone())
    }

    /// What the next server is shown that is dialled.
    pub(crate) fn credential(&self) -> Option<Credential> {
        self.now(|now| self.credential_by(now))
    }

    /// The same by what was read `now`.
    pub(crate) fn credential_by(&self, now: &Self) -> Option<Credential> {
        let credential = now.credential.clone()?;
        Some(self.kept_key.in_place_of(credential))
    }

    /// Servers are shown `credential`.
    pub(crate) fn keep(&self, credential: &Credential) {
        self.kept_key.keep(credential);
    }

    /// What the next server is told beside the name.
    pub(crate) fn labels(&self) -> Labels {
        self.now(|edge| edge.labels.clone())
    }

    /// Waits until servers are to be shown something else than `shown`.
    pub(crate) async fn another_credential(&self, shown: Option<&Credential>) {
        self.until(|now| (self.credential_by(now).as_ref() != shown).then_some(()))
            .await;
    }

    /// Waits until servers are to be shown another certificate than `shown`.
    pub(crate) async fn another_certificate(&self, shown: &[CertificateDer<'static>]) {
        self.until(|edge| {
            let certificate = edge.tls.as_ref().map(ServerTls::certificate);
            certificate.filter(|now| !now.is_empty() && now != shown)
        })
        .await;
    }

    /// Waits until servers are to be told other labels than `said`.
    pub(crate) async fn other_labels(&self, said: &Labels) {
        self.until(|edge| (edge.labels != *said).then_some(()))
            .await;
    }

    /// Waits until `server` would not be trusted any more with what it `showed`: its certificate is revoked, no authority that
    /// signed it is left, or its time is over. Says why.
    pub(crate) async fn distrusts(&self, server: &HostPort, showed: &Shown) -> ServerTlsError {
        loop {
            let why = self.until(|now| now.tls.as_ref()?.still_trusts(server, showed).err());
            tokio::select! {
                biased;
                why = why => return why,
                () = sleep(showed.next_look()) => {}
            }
        }
    }

    /// Waits until the configuration is read again after this call, whatever is another then.
    pub(crate) fn read_again(&self) -> impl Future<Output = ()> + use<> {
        let mut configs = self.reloads.clone();
        if let Some(configs) = &mut configs {
            configs.mark_unchanged();
        }
        async move {
            if let Some(mut configs) = configs
                && configs.changed().await.is_ok()
            {
                return;
            }
            pending().await
        }
    }

    /// Waits until `look` finds something in what was read last: now, or after a reload.
    async fn until<T>(&self, look: impl Fn(&Self) -> Option<T>) -> T {
        match &self.reloads {
            Some(configs) => until(configs, |config| look(&config.edge)).await,
            None => match look(self) {
                Some(found) => found,
                None => pending().await,
            },
        }
    }

    /// For simulations: reaches servers through `connect` and not over TCP, and spreads delays by `chance`.
    #[doc(hidden)]
    #[must_use]
    pub fn simulated(
        mut self,
        connect: impl Fn() -> BoxFuture<'static, io::Result<BoxedIo>> + Send + Sync + 'static,
        chance: Chance,
    ) -> Self {
        self.connector = Connector::Simulated(Arc::new(connect));
        self.tunnel.chance = chance;
        self
    }

    /// How long calls in flight may take to finish after a stop was asked for. Default 25 s.
    #[must_use]
    pub fn with_drain_timeout(mut self, limit: Duration) -> Self {
        self.drain_timeout = limit;
        self
    }

    /// The name that callers select.
    #[must_use]
    pub fn client_id(&self) -> &ClientId {
        &self.client_id
    }

    /// The servers, in the order in which they are tried.
    #[must_use]
    pub fn servers(&self) -> &[HostPort] {
        &self.servers
    }

    /// What it makes reachable.
    #[must_use]
    pub fn backend(&self) -> &Backend {
        &self.backend
    }
}

/// Which wire an edge speaks with its server. A backend in this process is served over protocol 1 only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TunnelProtocol {
    /// Says hello, and with no answer in 3 s comes again with the original's introduction, unless the server said nothing
    /// at all or what one of ours says first. A server that once answered a hello is not taken for the original any more.
    #[default]
    Auto,
    /// Protocol 1.
    V1,
    /// That of the original's server.
    Legacy,
}

/// The text names no tunnel protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be auto, 1 or legacy")]
pub struct UnknownTunnelProtocol;

impl FromStr for TunnelProtocol {
    type Err = UnknownTunnelProtocol;

    fn from_str(text: &str) -> Result<Self, UnknownTunnelProtocol> {
        match text {
            "auto" => Ok(Self::Auto),
            "1" => Ok(Self::V1),
            "legacy" => Ok(Self::Legacy),
            _ => Err(UnknownTunnelProtocol),
        }
    }
}
