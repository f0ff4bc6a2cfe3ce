//! One tunnel's life at the edge: its streams, and its end.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use grpc_multiplexer_process::{HostPort, Shown};
use grpc_multiplexer_tunnel::message::{Code, open::Kind};
use grpc_multiplexer_tunnel::{
    Established, InboundStream, Incoming, PendingStream, Session, SessionError,
};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, info, warn};

use super::Fleet;
use crate::Backend;
use crate::dial::ENDPOINT;
use crate::metrics::Metrics;
use crate::reachability::Reachability;

/// How long a stream may take to say what it is for.
pub(super) const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last words of a tunnel may take once every call is over or the drain's time is.
const CLOSE_GRACE: Duration = Duration::from_secs(2);
/// How long calls may go on with a server that is trusted no more: one that has another certificate by now gets the next
/// tunnel meanwhile, and most calls are over.
const LAST_CALLS: Duration = Duration::from_secs(1);
/// Without a byte on any stream for this long, calls through a server of the original's are taken to be over.
const QUIET: Duration = Duration::from_secs(1);

/// A tunnel that is up.
pub(super) struct Tunnel {
    pub(super) fleet: Arc<Fleet>,
    pub(super) server: HostPort,
    /// What the server showed of who it is.
    pub(super) showed: Shown,
    /// Cancelled when another tunnel took its place in the slot.
    pub(super) replaced: CancellationToken,
    /// To be cancelled when another tunnel is to take its place, because the server is trusted no more.
    pub(super) distrusted: CancellationToken,
}

impl Tunnel {
    /// Serves every stream until the server closes the tunnel. Told to stop, it tells the server, and lets calls finish
    /// within the drain timeout.
    pub(super) async fn serve(self, established: Established) {
        let Established {
            session,
            incoming,
            task,
        } = established;
        let _up = self.fleet.edge.metrics.tunnel_up();
        let mut tasks = JoinSet::new();
        tasks.spawn(task.run().in_current_span());
        let stop = &self.fleet.stop;
        tokio::select! {
            biased;
            () = self.take_streams(incoming, &session) => {}
            () = self.leave(&session) => tasks.shutdown().await,
            () = self.distrust(&session) => tasks.shutdown().await,
        }
        let end = session.closed().await;
        let (client_id, server) = (&self.fleet.edge.client_id, &self.server);
        // A server may close the old tunnel before this end has seen that the next one is up.
        let is_in_order = matches!(end, SessionError::Goodbye { code: Code::Ok, .. });
        if stop.is_cancelled() {
            info!(%client_id, reason = %end, "tunnel drained");
        } else if self.replaced.is_cancelled() || is_in_order {
            info!(%client_id, %server, reason = %end, "old tunnel closed");
        } else {
            warn!(%client_id, %server, reason = %end, "tunnel lost");
        }
    }

    /// Once the edge is to stop: tells the server, which closes the tunnel when its callers are done, and closes it when
    /// the drain's time is over. The tunnel's end comes first, unless it does not come at all.
    async fn leave(&self, session: &Session) {
        self.fleet.stop.cancelled().await;
        self.fleet.edge.metrics.draining();
        session.drain("the edge is shutting down", Duration::ZERO);
        let over = async {
            if session.is_legacy() {
                // Nothing tells such a server to close it.
                session.quiet(QUIET).await;
                session.close(Code::Ok, "drained");
            }
            session.closed().await
        };
        let limit = self.fleet.edge.now(|edge| edge.drain_timeout);
        if timeout(limit, over).await.is_err() {
            let streams = session.open_streams();
            warn!(streams, "drain time is over, cutting calls");
            session.close(Code::ShuttingDown, "the edge's drain time is over");
        }
        sleep(CLOSE_GRACE).await;
    }

    /// Once the server is trusted no more: has the next tunnel dialled, and closes this one with the calls on it.
    async fn distrust(&self, session: &Session) {
        let why = self.fleet.edge.distrusts(&self.server, &self.showed).await;
        let (client_id, server) = (&self.fleet.edge.client_id, &self.server);
        warn!(
            %client_id,
            %server,
            reason = &why as &dyn Error,
            "the server is trusted no more, closing its tunnel"
        );
        // One of the original's takes no other beside it.
        if !session.is_legacy() {
            self.distrusted.cancel();
            // Its end is awaited, whoever brings it.
            let _ = timeout(LAST_CALLS, session.closed()).await;
        }
        session.close(Code::Unauthenticated, &why.to_string());
        sleep(CLOSE_GRACE).await;
    }

    /// Splices every stream that the server opens, until the tunnel ends.
    async fn take_streams(&self, mut incoming: Incoming, session: &Session) {
        let edge = &self.fleet.edge;
        let mut splices = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                Some(joined) = splices.join_next() => {
                    if let Err(error) = joined {
                        tracing::error!(%error, "a stream's task failed");
                    }
                }
                stream = incoming.next() => match stream {
                    Some(stream) => {
                        let serve = serve_stream(
                            stream,
                            session.clone(),
                            edge.now(|edge| edge.backend.clone()),
                            Arc::clone(&self.fleet.reachable),
                            edge.metrics.clone(),
                            edge.tunnel.dial_timeout,
                        );
                        splices.spawn(serve.in_current_span());
                    }
                    None => break,
                },
            }
        }
    }
}

async fn serve_stream(
    stream: InboundStream,
    session: Session,
    backend: Backend,
    reachable: Arc<Reachability>,
    metrics: Metrics,
    own_limit: Duration,
) {
    let _open = metrics.stream_open();
    let pending = match stream.read_open(OPEN_TIMEOUT).await {
        Ok(pending) => pending,
        Err(error) => {
            debug!(%error, "stream not opened");
            return;
        }
    };
    if let Some((code, reason)) = refusal(&pending) {
        pending.refuse(code, reason).await;
        return;
    }
    let asked = pending
        .open()
        .dial_timeout
        .and_then(|limit| Duration::try_from(limit).ok());
    let reached = backend.reach(asked.unwrap_or(own_limit)).await;
    reachable.dialled(&backend, &reached);
    metrics.dialled(&reached);
    match reached {
        Ok(reached) => match pending.accept().await {
            Ok(stream) => {
                if stream.is_legacy() {
                    reachable.spliced(&backend);
                }
                let hear = |first: Result<&[u8], &io::Error>| reachable.heard(&backend, first);
                reached.carry(stream, &session, &backend, hear).await;
            }
            Err(error) => debug!(%error, "stream not accepted"),
        },
        Err(error) => pending.refuse(error.code(), &error.to_string()).await,
    }
    if session.is_legacy() && session.open_streams() == 0 {
        session.close(
            Code::Ok,
            "its only stream is over, and the server cannot open another",
        );
    }
}

/// Why a stream cannot be served, whatever the backend does.
fn refusal(pending: &PendingStream) -> Option<(Code, &'static str)> {
    let open = pending.open();
    if open.kind() != Kind::H2 {
        return Some((
            Code::Unsupported,
            "this edge serves streams of kind H2 only",
        ));
    }
    if !open.target.is_empty() || !open.attributes.is_empty() {
        return Some((
            Code::Unsupported,
            "this edge serves no target and no attributes",
        ));
    }
    (open.endpoint_id != ENDPOINT).then_some((
        Code::UnknownEndpoint,
        "this edge has no endpoint of that number",
    ))
}
