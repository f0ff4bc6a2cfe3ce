//! How a server behaves, beside where it listens.

use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use grpc_multiplexer_process::{
    DRAIN_TIME, DRAIN_TIMEOUT, ListenerTls, Reader, TUNNEL_TIMEOUT, duration, size, tunnel_timeout,
    until,
};
use grpc_multiplexer_tunnel::{HeartbeatTimes, TunnelConfig};
use tokio::sync::watch;

use crate::edge::{age, comers};
use crate::hooks::HookSettings;
use crate::operator;
use crate::proxy::{self, deadline};
use crate::state_dir;
use crate::waiting::WaitSettings;
use crate::{CallersPolicy, DuplicateClientId, ForwardedHeaders, Grants, Limits, ServerConfig};

/// How a [`Server`](crate::Server) behaves. The default is that of the binary's options.
///
/// ```
/// use std::time::Duration;
///
/// use grpc_multiplexer_server::Settings;
///
/// let mut settings = Settings::default();
/// settings.drain_timeout = Duration::from_secs(5);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// How long calls in flight may take to finish after a stop was asked for. Default 25 s.
    pub drain_timeout: Duration,
    /// What becomes of an edge that comes with the id of another. Default [`DuplicateClientId::Reject`].
    pub duplicate_client_id: DuplicateClientId,
    /// TLS with callers; without it they come in plain text. Default none.
    pub proxy_tls: Option<ListenerTls>,
    /// TLS with edges; without it they come in plain text. Default none.
    pub multiplexer_tls: Option<ListenerTls>,
    /// TLS with operators; without it they come in plain text. Default none.
    pub operator_tls: Option<ListenerTls>,
    /// Which callers may call what. Default all may call everything.
    pub callers: Option<CallersPolicy>,
    /// Which edges may have which client ids. Default all may have any.
    pub edges: Grants,
    /// The folder of what must outlive the server, which is made if it is not there. Without one nothing does. Default none.
    pub state_dir: Option<PathBuf>,
    /// Who else is asked, and told of edges. Default nobody.
    pub hooks: Option<HookSettings>,
    /// How old a tunnel gets: its edge is asked for the next one before, and shows anew who it is. Default as old as it gets.
    pub max_tunnel_age: Option<Duration>,
    /// How long a call to an edge may take from its arrival, whatever deadline its caller sets. Default as long as it takes.
    pub max_call_time: Option<Duration>,
    /// Timeouts of tunnels.
    pub tunnel: TunnelConfig,
    /// Which calls wait for an edge that is away.
    pub waiting: WaitSettings,
    /// What becomes of what callers say of the way that a call came. Default [`ForwardedHeaders::Drop`].
    pub forwarded_headers: ForwardedHeaders,
    /// Bytes of a request that are kept until its backend answers, to be sent again where it is proven that no backend
    /// took them. Default 64 KiB.
    pub replay_buffer: usize,
    /// How much of everything there may be.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            drain_timeout: DRAIN_TIME,
            duplicate_client_id: DuplicateClientId::default(),
            proxy_tls: None,
            multiplexer_tls: None,
            operator_tls: None,
            callers: None,
            edges: Grants::default(),
            state_dir: None,
            hooks: None,
            max_tunnel_age: None,
            max_call_time: None,
            tunnel: TunnelConfig::default(),
            waiting: WaitSettings::default(),
            forwarded_headers: ForwardedHeaders::default(),
            replay_buffer: 64 * 1024,
            limits: Limits::default(),
        }
    }
}

impl Settings {
    /// Which calls wait for an edge: no more than have a place or a turn on it once it is back.
    pub(crate) fn waiting(&self) -> WaitSettings {
        let room = self.limits.calls_per_edge + self.limits.queued_calls_per_edge;
        let mut waiting = self.waiting.clone();
        waiting.max_waiting_calls_per_edge = waiting.max_waiting_calls_per_edge.min(room);
        waiting
    }

    /// Reads the options of [`crate::PROGRAM`] that are settings. Mistakes are kept by `reader`.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let tunnel_timeout = reader.one(TUNNEL_TIMEOUT.path, tunnel_timeout);
        let drain_timeout = reader.one(DRAIN_TIMEOUT.path, duration);
        let duplicate_client_id = reader.one("duplicate-client-id", str::parse);
        let waiting = WaitSettings::read(reader);
        let forwarded_headers = reader.one("forwarded-headers", str::parse);
        let replay_buffer = reader.one("replay-buffer", size);
        let proxy_tls = ListenerTls::read(reader, proxy::comers::TLS);
        let multiplexer_tls = ListenerTls::read(reader, comers::TLS);
        let operator_tls = ListenerTls::read(reader, operator::TLS);
        let callers = CallersPolicy::read(reader);
        let state_dir = reader.optional(state_dir::OPTION.path, state_dir::parse);
        let edges = Grants::read(reader, state_dir.as_deref());
        let hooks = HookSettings::read(reader);
        let max_tunnel_age = reader.one(age::OPTION.path, age::parse);
        let max_call_time = reader.one(deadline::OPTION.path, deadline::parse);
        let limits = Limits::read(reader)?;
        let tunnel = TunnelConfig {
            hello_timeout: limits.handshake_timeout,
            heartbeat: Arc::new(HeartbeatTimes::closing_after(tunnel_timeout?)),
            ..TunnelConfig::default()
        };
        Some(Self {
            drain_timeout: drain_timeout?,
            duplicate_client_id: duplicate_client_id?,
            proxy_tls,
            multiplexer_tls,
            operator_tls,
            callers,
            edges,
            state_dir,
            hooks,
            max_tunnel_age: max_tunnel_age?,
            max_call_time: max_call_time?,
            tunnel,
            waiting: waiting?,
            forwarded_headers: forwarded_headers?,
            // What does not fit is no limit.
            replay_buffer: usize::try_from(replay_buffer?).unwrap_or(usize::MAX),
            limits,
        })
    }
}

/// The settings in force, for those who must see a reload: whoever keeps a copy does not.
#[derive(Debug, Clone)]
pub(crate) enum Live {
    Fixed(Box<Settings>),
    Reloading(watch::Receiver<ServerConfig>),
}

impl Live {
    /// Looks at what is in force now.
    pub(crate) fn now<T>(&self, look: impl FnOnce(&Settings) -> T) -> T {
        match self {
            Self::Fixed(settings) => look(settings),
            Self::Reloading(configs) => look(&configs.borrow().settings),
        }
    }

    /// Waits until `look` finds something in what is in force: now, or after a reload.
    pub(crate) async fn until<T>(&self, look: impl Fn(&Settings) -> Option<T>) -> T {
        match self {
            Self::Fixed(settings) => match look(settings) {
                Some(found) => found,
                None => pending().await,
            },
            Self::Reloading(configs) => until(configs, |config| look(&config.settings)).await,
        }
    }
}
