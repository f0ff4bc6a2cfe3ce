//! Takes tunnels: accept, hello, admit, and one task per tunnel until it ends.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use grpc_multiplexer_process::{Remarks, Seldom, Threads};
use grpc_multiplexer_tunnel::message::{Code, Refused};
use grpc_multiplexer_tunnel::{Arrival, BoxedIo, HandshakeError, TunnelConfig, accept};
use rand::Rng as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, debug, info_span, warn};

use super::admit::Admitted;
use super::lanes::Terms;
use super::tunnel::run;
use crate::accept::{Accepted, accept_loop};
use crate::credential::{Credential, Enrolled, Failures};
use crate::hooks::Hooks;
use crate::jwt::Verifier;
use crate::limits::Limits;
use crate::metrics::{Introduction, Metrics};
use crate::newcomers::{Newcomers, Seat};
use crate::overload::{Overload, Taken};
use crate::registry::Registry;
use crate::settings::Live;

/// When an edge may come again that was one too many, in milliseconds: spread out, as many may be.
const FULL_RETRY: Range<u64> = 5_000..10_000;
/// Between two edges that are told to come again: 500 in a second.
pub(crate) const TURN: Duration = Duration::from_millis(2);

/// What every tunnel needs.
#[derive(Debug)]
pub(crate) struct Edges {
    pub(crate) registry: Arc<Registry>,
    pub(crate) config: TunnelConfig,
    pub(crate) limits: Limits,
    pub(crate) newcomers: Arc<Newcomers>,
    pub(crate) threads: Threads,
    /// One for each further tunnel.
    pub(crate) tunnels: Arc<Semaphore>,
    pub(crate) overload: Arc<Overload>,
    pub(crate) turned_away: Seldom,
    pub(crate) settings: Live,
    pub(crate) server_id: String,
    /// Where callers should have called that called here.
    pub(crate) proxy_port: u16,
    pub(crate) remarks: Remarks,
    pub(crate) failures: Failures,
    pub(crate) jwts: Arc<Verifier>,
    /// Who enrolled, where that is written down.
    pub(crate) enrolled: Option<Arc<Enrolled>>,
    pub(crate) hooks: Arc<Hooks>,
    pub(crate) metrics: Metrics,
    /// What the lanes of each go by.
    pub(crate) lanes: Arc<Terms>,
    /// Cancelled when tunnels must end.
    pub(crate) close: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Edges {
    /// Takes tunnels from `listener` until `stop`. Tunnels live on.
    pub(crate) async fn listen(
        self: Arc<Self>,
        listener: Arc<TcpListener>,
        stop: CancellationToken,
    ) {
        let serve = |accepted: Accepted| {
            let remote = accepted.remote;
            // What is turned away is closed at once.
            let Some(counted) = self.let_in(remote) else {
                return;
            };
            let (edges, stop) = (Arc::clone(&self), stop.clone());
            let thread = accepted.thread.clone();
            let serve = async move {
                edges.serve(accepted, &stop, counted).await;
            };
            let serve = serve.instrument(info_span!("tunnel", peer.addr = %remote));
            self.tasks.spawn_on(serve, &thread);
        };
        let (newcomers, threads) = (&self.newcomers, &self.threads);
        accept_loop(&listener, "multiplexer", newcomers, threads, &stop, serve).await;
    }

    /// Counts an edge that came, unless there are too many.
    fn let_in(&self, remote: SocketAddr) -> Option<Taken> {
        let counted = self.overload.edge();
        if counted.is_none() {
            self.metrics.turned_away("multiplexer", "overload");
            if let Some(times) = self.turned_away.again() {
                warn!(%remote, times, "edges turned away: descriptors are short");
            }
        }
        counted
    }

    /// Tells every edge to open its next tunnel, and to leave this one to its calls. They come at intervals.
    pub(crate) fn send_away(&self) {
        for (edge, turn) in self.registry.edges().iter().zip(0..) {
            let again = TURN * turn;
            edge.session().drain("the server is shutting down", again);
        }
    }

    /// Nobody begins any more once `stop` is cancelled.
    async fn serve(self: &Arc<Self>, accepted: Accepted, stop: &CancellationToken, counted: Taken) {
        let remote = accepted.remote;
        let (socket, seat) = match accepted.open() {
            Ok(opened) => opened,
            Err(error) => return debug!(%error, "no edge"),
        };
        // Boxed: over soon, and large.
        let admitted = seat.shake_hands(Box::pin(self.admitted(socket, remote, &seat)));
        let Some(admitted) = stop.run_until_cancelled(admitted).await else {
            return;
        };
        drop(seat);
        match admitted {
            Some(Some((admitted, place))) => {
                // On a task of its own, which does not have room for all that a handshake needs.
                let run = run(admitted, Arc::clone(self), (place, counted));
                self.tasks.spawn(run.in_current_span());
            }
            Some(None) => {}
            None => {
                self.metrics.turned_away("multiplexer", "silent");
                debug!("no edge: others waited for its seat");
            }
        }
    }

    async fn admitted(
        &self,
        socket: TcpStream,
        remote: SocketAddr,
        seat: &Seat,
    ) -> Option<(Admitted, OwnedSemaphorePermit)> {
        let (edge, credential) = match self.greet(socket).await {
            Ok(edge) => edge?,
            Err(error) => {
                debug!(%error, "no edge");
                return None;
            }
        };
        let met = self.meet(edge, remote, credential, seat).await;
        let introduction = match &met {
            Ok(_) => Introduction::Welcome,
            // Said already, with the reason.
            Err(HandshakeError::Refused(_)) => Introduction::Refused,
            Err(error) => {
                let error: &dyn std::error::Error = error;
                warn!(%remote, error, "not an edge");
                Introduction::Failed
            }
        };
        self.metrics.introduced(introduction);
        met.ok()
    }

    pub(super) async fn meet(
        &self,
        edge: BoxedIo,
        remote: SocketAddr,
        credential: Credential,
        seat: &Seat,
    ) -> Result<(Admitted, OwnedSemaphorePermit), HandshakeError> {
        let arrival = accept(edge, &self.config).await?;
        if !self.overload.takes_tunnels() {
            let reason = "this server is short of memory";
            return Err(self.full(arrival, remote, reason).await);
        }
        let Ok(place) = Arc::clone(&self.tunnels).try_acquire_owned() else {
            let reason = "this server has as many tunnels as it takes";
            return Err(self.full(arrival, remote, reason).await);
        };
        Ok((self.admit(arrival, remote, credential, seat).await?, place))
    }

    /// Refuses an edge that is one too many. One of the original's has no ear for it.
    async fn full(&self, arrival: Arrival, remote: SocketAddr, reason: &str) -> HandshakeError {
        let after = Duration::from_millis(rand::rng().random_range(FULL_RETRY));
        let refused = Refused {
            code: Code::Limit.into(),
            text: reason.to_owned(),
            retry_after: prost_types::Duration::try_from(after).ok(),
        };
        self.say_refused(None, remote, &refused);
        match arrival {
            Arrival::Hello(edge) => match edge.refuse(refused.clone()).await {
                Ok(()) => refused.into(),
                Err(error) => error,
            },
            Arrival::Legacy(_) => refused.into(),
        }
    }
}
