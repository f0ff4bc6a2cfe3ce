//! One tunnel, from its registration to its end.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{FusedFuture, OptionFuture, pending};
use grpc_multiplexer_process::Counted;
use grpc_multiplexer_tunnel::message::Code;
use grpc_multiplexer_tunnel::{Established, InboundStream, Incoming, SessionError};
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::EdgeHandle;
use super::admit::Admitted;
use super::age::Age;
use super::listener::Edges;
use crate::Settings;
use crate::credential::{Credential, Denied, Enrolled};
use crate::registry::{Ousted, Registration, Registry, Why};

/// How long an edge's stream may take to say what it is for.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// Of an edge that showed none.
static NO_CREDENTIAL: LazyLock<Credential> = LazyLock::new(Credential::default);

/// A tunnel that is served. Ten thousand may be idle: what is seldom needed is boxed.
struct Tunnel {
    edge: Arc<EdgeHandle>,
    /// What it showed, if anything.
    credential: Option<Box<Credential>>,
    registration: Registration,
    incoming: Incoming,
    age: Age,
    edges: Arc<Edges>,
}

/// Serves a tunnel until it ends, or all must, and keeps `held` as long. To be called within the runtime that serves it.
pub(super) fn run(
    admitted: Admitted,
    edges: Arc<Edges>,
    held: impl Send,
) -> impl Future<Output = ()> + Send {
    let Admitted {
        edge,
        tunnel,
        admission,
        registration,
    } = admitted;
    let Established { incoming, task, .. } = tunnel;
    info!(
        client_id = %edge.client_id(),
        generation = edge.generation(),
        software = %edge.software(),
        labels = (!edge.labels().is_empty()).then(|| tracing::field::display(edge.labels())),
        principal = admission.principal.as_ref().map(tracing::field::display),
        serves = admission.serves.named(),
        "edge connected"
    );
    let credential = admission.credential;
    let greatest_age = edges.settings.now(|settings| settings.max_tunnel_age);
    let mut tunnel = Tunnel {
        age: Age::new(greatest_age, edges.config.chance.clone()),
        edge,
        credential: (!credential.is_nothing()).then(|| Box::new(credential)),
        registration,
        incoming,
        edges,
    };
    let held = (held, Counted::on(&tunnel.edges.metrics.tunnels));
    let mut work = Box::pin(task.run().fuse());
    async move {
        let close = tunnel.edges.close.clone();
        tokio::select! {
            biased;
            () = close.cancelled() => {}
            () = tunnel.serve(work.as_mut()) => {}
        }
        // Until here. A name of its own would have room for it twice.
        drop(held);
    }
}

impl Tunnel {
    /// Serves the tunnel to the end of `work`, which is that of its session.
    async fn serve(
        &mut self,
        mut work: Pin<&mut (impl FusedFuture<Output = SessionError> + Send)>,
    ) {
        let Self {
            edge,
            credential,
            registration,
            incoming,
            age,
            edges,
        } = self;
        let session = edge.session();
        let credential = credential.as_deref().unwrap_or(&NO_CREDENTIAL);
        let leave = async {
            tokio::select! {
                biased;
                ousted = registration.ousted() => {
                    edges.metrics.taken_over(ousted.why);
                    Box::pin(give_way(edge, ousted, *age)).await;
                }
                never = tell_of_rotation(edge, &edges.registry) => match never {},
                drain = session.peer_drains() => {
                    info!(client_id = %edge.client_id(), reason = %drain.reason, "edge drains");
                    registration.leave();
                    Box::pin(close_when_idle(edge)).await;
                }
            }
        };
        tokio::select! {
            biased;
            _ = session.closed() => {}
            _ = &mut work => {}
            () = revoke(edge, credential, edges) => {}
            Some(()) = OptionFuture::from(age.is_limited().then(|| Box::pin(age.limit(edge)))) => {}
            () = leave => {}
            never = refuse_streams(incoming) => match never {},
        }
        registration.leave();
        let end = tokio::select! {
            biased;
            end = session.closed() => end,
            _ = &mut work => session.closed().await,
        };
        info!(client_id = %edge.client_id(), reason = %end, "edge disconnected");
        // Its goodbye is on its way out, which has its own time.
        if !work.is_terminated() {
            work.await;
        }
    }
}

/// Closes the tunnel of an edge, with the calls on it, once what let it in does not give it any more what it has. What it
/// gives beyond that it has from then on.
async fn revoke(edge: &EdgeHandle, credential: &Credential, edges: &Edges) {
    let enrolled = edges.enrolled.as_deref();
    let mut enrolments = enrolled.map(Enrolled::losses);
    let look = |settings: &Settings| {
        say_not_trusted(edge, settings, edges);
        let now = credential.again(&edges.jwts, enrolled, settings);
        let denied = match settings.edges.admit(&now, edge.client_id()) {
            Ok((_, serves)) => (!edge.serve_from_now(&serves)).then_some(Denied::Narrowed),
            Err(denied) => Some(denied),
        };
        if let Some(denied) = denied {
            return Some((denied.code(), denied.to_string()));
        }
        let distrusted = settings
            .multiplexer_tls
            .as_ref()?
            .still_trusts(&credential.shown);
        let why = distrusted.err()?;
        Some((Code::Unauthenticated, why.to_string()))
    };
    let (code, why) = loop {
        // What may come of another look though no settings changed.
        let changes = edges.jwts.changes(credential.jwt());
        let enrolments = &mut enrolments;
        let may_change = enrolments.is_some() || credential.has_end();
        let other = may_change.then(|| {
            Box::pin(async move {
                let enrolments = async {
                    if let Some(changes) = enrolments
                        && changes.changed().await.is_ok()
                    {
                        return;
                    }
                    pending().await
                };
                tokio::select! {
                    () = changes => {}
                    () = enrolments => {}
                    () = sleep(credential.shown.next_look()) => {}
                }
            })
        });
        tokio::select! {
            biased;
            lost = edges.settings.until(&look) => break lost,
            Some(()) = OptionFuture::from(other) => {}
        }
    };
    warn!(client_id = %edge.client_id(), reason = %why, "edge lost its right to the tunnel");
    edge.session().close(code, &why);
}

/// Says which labels of the edge count for nothing where the policy of callers asks for them.
fn say_not_trusted(edge: &EdgeHandle, settings: &Settings, edges: &Edges) {
    let (id, labels) = (edge.client_id(), edge.labels());
    let policy = settings.callers.iter();
    for (key, value) in policy.flat_map(|policy| policy.not_trusted(id, labels)) {
        edges.remarks.say(format_args!(
            "the label {key}={value} of the edge {id} counts for nothing, because the policy of callers trusts no edge of \
             that id with it; if it shall, write below edges there: - {{ids: [{id}], labels: {{{key}: {value:?}}}}}"
        ));
    }
}

/// Tells calls that wait for the edge when its tunnel takes them again.
async fn tell_of_rotation(edge: &EdgeHandle, registry: &Registry) -> Infallible {
    loop {
        edge.session().back_in_rotation().await;
        registry.waiting().changed(edge.client_id());
    }
}

/// Streams of the edge's own are for kinds that nobody serves yet.
async fn refuse_streams(incoming: &mut Incoming) -> Infallible {
    let refused = |stream| Box::pin(refuse(stream));
    while let Some(refused) = incoming.next().await.map(refused) {
        refused.await;
    }
    pending().await
}

async fn refuse(stream: InboundStream) {
    match stream.read_open(OPEN_TIMEOUT).await {
        Ok(pending) => {
            let reason = "this server takes no streams from edges";
            pending.refuse(Code::Unsupported, reason).await;
        }
        Err(error) => debug!(%error, "stream not opened"),
    }
}

/// Closes the tunnel of an edge that goes away, once its calls are over. The edge itself sets the limit: it hangs up.
async fn close_when_idle(edge: &EdgeHandle) {
    edge.lanes().idle().await;
    edge.lanes().close().await;
    edge.session().close(Code::Ok, "drained");
}

/// Closes a tunnel whose place another has, once its calls are over or have had their time. Calls that still wait for a
/// lane go to the other.
async fn give_way(edge: &EdgeHandle, ousted: Ousted, age: Age) {
    let Ousted { why, successor } = ousted;
    info!(
        client_id = %edge.client_id(), generation = edge.generation(), successor, reason = %why,
        "another tunnel took the place of this one"
    );
    let code = match why {
        Why::Superseded => Code::Ok,
        Why::Silent | Why::Replaced => {
            edge.session().supersede(&why.to_string());
            Code::DuplicateClientId
        }
    };
    let calls_may_take = match why {
        // They had no longer on the tunnel itself.
        Why::Superseded => why.calls_may_take().max(age.left()),
        Why::Silent | Why::Replaced => why.calls_may_take(),
    };
    // Past this its calls end with it.
    let _ = timeout(calls_may_take, edge.lanes().close()).await;
    edge.session().close(code, &why.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<F>(_: impl Fn(Admitted, Arc<Edges>, [usize; 3]) -> F) -> usize {
        size_of::<F>()
    }

    /// An idle edge costs it as long as it is there.
    #[test]
    fn a_tunnel_is_small() {
        let size = size(run);
        assert!(size <= 1_408, "{size} bytes");
    }
}
