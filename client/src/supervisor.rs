//! Dial, serve, back off, repeat.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use grpc_multiplexer_process::HostPort;
use grpc_multiplexer_tunnel::message::{Code, open::Kind};
use grpc_multiplexer_tunnel::{
    Backoff, Established, InboundStream, Incoming, PendingStream, Session, SessionError,
};
use rand::Rng as _;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, info, info_span, warn};

use crate::dial::{AttemptError, ENDPOINT, Tunnel, attempt};
use crate::metrics::Metrics;
use crate::reachability::Reachability;
use crate::{Backend, Edge};

/// How long a stream may take to say what it is for.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the server has to close the tunnel once every call is over or the drain's time is.
const CLOSE_GRACE: Duration = Duration::from_secs(2);
/// Without a byte on any stream for this long, calls through a server of the original's are taken to be over.
const QUIET: Duration = Duration::from_secs(1);
/// How long a tunnel to a server of the original's lives that is worth a soon next try.
const STEADY: Duration = Duration::from_secs(30);
/// Least delay after a refusal that trying again soon cannot mend.
const LASTING_REFUSAL: Duration = Duration::from_secs(15);

impl Edge {
    /// Keeps a tunnel to one of the servers until `stop` is cancelled; then takes nothing new, lets calls in flight
    /// finish within the drain timeout, and returns.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cuts the tunnel and every call on it.
    pub async fn run(self, stop: CancellationToken) {
        let supervisor = Supervisor {
            edge: self,
            instance_id: rand::rng().random(),
            reachable: Arc::default(),
        };
        supervisor.run(stop).await;
    }
}

/// An edge that runs.
#[derive(Debug)]
struct Supervisor {
    edge: Edge,
    instance_id: [u8; 16],
    reachable: Arc<Reachability>,
}

impl Supervisor {
    async fn run(self, stop: CancellationToken) {
        let mut probe = JoinSet::new();
        let (backend, reachable) = (self.edge.backend.clone(), Arc::clone(&self.reachable));
        let limit = self.edge.tunnel.dial_timeout;
        probe.spawn(async move { reachable.dialled(&backend, &backend.reach(limit).await) });
        let mut backoff = Backoff::new();
        let mut known = HashMap::new();
        for server in self.edge.servers.iter().cycle() {
            let known = known.entry(server).or_default();
            let dial = attempt(server, &self.edge, &self.instance_id, known);
            let Some(attempted) = stop.run_until_cancelled(dial).await else {
                return;
            };
            self.edge.metrics.attempted(&attempted);
            let mut at_least = Duration::ZERO;
            match attempted {
                Ok(tunnel) => {
                    let end = self.serve(server, tunnel, &mut backoff, &stop).await;
                    if stop.is_cancelled() {
                        info!(client_id = %self.edge.client_id, reason = %end, "tunnel drained");
                        return;
                    }
                    warn!(client_id = %self.edge.client_id, %server, reason = %end, "tunnel lost");
                }
                Err(error) => {
                    at_least = error.retry_after().unwrap_or_default();
                    if !error.is_transient() {
                        at_least = at_least.max(LASTING_REFUSAL);
                    }
                    log_failure(server, &self.edge, &error);
                }
            }
            let delay = backoff
                .next_delay(Instant::now(), &mut rand::rng())
                .max(at_least);
            info!(client_id = %self.edge.client_id, after = ?delay, "dialling again");
            if stop.run_until_cancelled(sleep(delay)).await.is_none() {
                return;
            }
        }
    }

    /// Serves one tunnel to its end.
    async fn serve(
        &self,
        server: &HostPort,
        tunnel: Tunnel,
        backoff: &mut Backoff,
        stop: &CancellationToken,
    ) -> SessionError {
        let Established {
            session,
            incoming,
            task,
        } = tunnel.established;
        info!(
            client_id = %self.edge.client_id,
            %server,
            protocol = if session.is_legacy() { "legacy" } else { "1" },
            generation = tunnel.generation,
            rtt = session.rtt().map(tracing::field::debug),
            "connected"
        );
        let _up = self.edge.metrics.tunnel_up();
        let mut tasks = JoinSet::new();
        let span = info_span!("tunnel", client_id = %self.edge.client_id, %server);
        tasks.spawn(task.run().instrument(span.clone()));
        let streams = self.take_streams(incoming, &session).instrument(span);
        tokio::pin!(streams);
        let steady = steady(&session);
        tokio::pin!(steady);
        let mut proven = false;
        let mut told = false;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled(), if !told => {
                    told = true;
                    self.edge.metrics.draining();
                    session.drain("the edge is shutting down");
                    let limit = self.edge.now(|edge| edge.drain_timeout);
                    let session = session.clone();
                    tasks.spawn(async move { close_after(session, limit).await });
                }
                () = &mut steady, if !proven => {
                    proven = true;
                    backoff.reset();
                }
                () = &mut streams => break,
            }
        }
        session.closed().await.clone()
    }

    /// Splices every stream that the server opens, until the tunnel ends.
    async fn take_streams(&self, mut incoming: Incoming, session: &Session) {
        let mut splices = JoinSet::new();
        let mut announced = false;
        loop {
            tokio::select! {
                stream = incoming.next() => match stream {
                    Some(stream) => {
                        let serve = serve_stream(
                            stream,
                            session.clone(),
                            self.edge.now(|edge| edge.backend.clone()),
                            Arc::clone(&self.reachable),
                            self.edge.metrics.clone(),
                            self.edge.tunnel.dial_timeout,
                        );
                        splices.spawn(serve.in_current_span());
                    }
                    None => break,
                },
                Some(joined) = splices.join_next() => {
                    if let Err(error) = joined {
                        tracing::error!(%error, "a stream's task failed");
                    }
                }
                drain = session.peer_drains(), if !announced => {
                    announced = true;
                    info!(reason = %drain.reason, "the server is going away");
                }
            }
        }
    }
}

/// Waits until the next try may come soon again: the tunnel works both ways. On the original's wire, where a tunnel ends
/// with its backend's connection, it must also have lived for a while.
async fn steady(session: &Session) {
    session.proven().await;
    if session.is_legacy() {
        sleep(STEADY).await;
    }
}

/// Lets the server close the tunnel when its callers are done, and closes it when the drain's time is over.
async fn close_after(session: Session, limit: Duration) -> SessionError {
    let over = async {
        if session.is_legacy() {
            // Nothing tells such a server to close it.
            session.quiet(QUIET).await;
            session.close(Code::Ok, "drained");
        }
        session.closed().await
    };
    if timeout(limit, over).await.is_err() {
        warn!(
            streams = session.open_streams(),
            "drain time is over, cutting calls"
        );
        session.close(Code::ShuttingDown, "the edge's drain time is over");
    }
    match timeout(CLOSE_GRACE, session.closed()).await {
        Ok(end) => end.clone(),
        Err(_) => SessionError::Closed("the tunnel did not close in time".to_owned()),
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
                let hear = |first: &[u8]| reachable.heard(&backend, first);
                reached.carry(stream, &backend, hear).await;
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

fn log_failure(server: &HostPort, edge: &Edge, error: &AttemptError) {
    let client_id = &edge.client_id;
    let shown = error as &dyn Error;
    if error.is_transient() {
        warn!(%client_id, %server, error = shown, "no tunnel");
    } else {
        tracing::error!(%client_id, %server, error = shown, "no tunnel, and none until this is mended");
    }
}

#[cfg(test)]
mod tests;
