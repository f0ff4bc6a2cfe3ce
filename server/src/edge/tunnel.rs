//! One tunnel, from its registration to its end.

use std::convert::Infallible;
use std::fmt::Display;
use std::future::pending;
use std::time::Duration;

use grpc_multiplexer_tunnel::message::Code;
use grpc_multiplexer_tunnel::{Established, Incoming};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{Instrument as _, debug, info, warn};

use super::EdgeHandle;
use super::admit::Admitted;
use super::age::Age;
use super::listener::Edges;
use crate::Settings;
use crate::credential::{Credential, Denied, Enrolled};
use crate::registry::{Ousted, Registry, Why};
use crate::trust;

/// How long an edge's stream may take to say what it is for.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves a tunnel until it ends.
pub(super) async fn run(admitted: Admitted, edges: &Edges) {
    let (metrics, registry) = (&edges.metrics, &edges.registry);
    let Admitted {
        edge,
        tunnel,
        admission,
        mut registration,
    } = admitted;
    let Established {
        session,
        incoming,
        task,
    } = tunnel;
    info!(
        client_id = %edge.client_id(),
        generation = edge.generation(),
        software = %edge.software(),
        labels = (!edge.labels().is_empty()).then(|| tracing::field::display(edge.labels())),
        principal = admission.principal.as_ref().map(tracing::field::display),
        serves = admission.serves.named(),
        "edge connected"
    );
    let greatest_age = edges.settings.now(|settings| settings.max_tunnel_age);
    let age = Age::new(greatest_age, edges.config.chance.clone());
    let (mut work, mut refusals) = (JoinSet::new(), JoinSet::new());
    work.spawn(task.run().in_current_span());
    refusals.spawn(refuse_streams(incoming));
    let leave = async {
        tokio::select! {
            biased;
            ousted = registration.ousted() => {
                metrics.taken_over(ousted.why);
                give_way(&edge, ousted, age).await;
            }
            never = tell_of_rotation(&edge, registry) => match never {},
            never = say_not_trusted(&edge, edges) => match never {},
            drain = session.peer_drains() => {
                info!(client_id = %edge.client_id(), reason = %drain.reason, "edge drains");
                registration.leave();
                close_when_idle(&edge).await;
            }
        }
    };
    let shown = &admission.credential.shown;
    let distrusted = trust::lost(shown, &edges.settings, |settings| {
        settings.multiplexer_tls.as_ref()
    });
    tokio::select! {
        biased;
        _ = session.closed() => {}
        lost = lost(edges, &admission.credential, &edge) => revoke(&edge, lost.code(), &lost),
        why = distrusted => revoke(&edge, Code::Unauthenticated, &why),
        () = age.limit(&edge) => {}
        () = leave => {}
    }
    registration.leave();
    let end = session.closed().await;
    info!(client_id = %edge.client_id(), reason = %end, "edge disconnected");
    // Its goodbye is on its way out, which has its own time.
    work.join_next().await;
}

/// Waits until what let an edge in does not give it any more what it has. What it gives beyond that it has from then on.
async fn lost(edges: &Edges, credential: &Credential, edge: &EdgeHandle) -> Denied {
    let id = edge.client_id();
    let enrolled = edges.enrolled.as_deref();
    let mut enrolments = enrolled.map(Enrolled::losses);
    loop {
        let changes = edges.jwts.changes(credential.jwt());
        let denied = edges.settings.until(|settings| {
            let now = credential.again(&edges.jwts, enrolled, settings);
            match settings.edges.admit(&now, id) {
                Ok((_, serves)) => (!edge.serve_from_now(&serves)).then_some(Denied::Narrowed),
                Err(denied) => Some(denied),
            }
        });
        let enrolments = async {
            if let Some(changes) = &mut enrolments
                && changes.changed().await.is_ok()
            {
                return;
            }
            pending().await
        };
        tokio::select! {
            biased;
            denied = denied => return denied,
            () = changes => {}
            () = enrolments => {}
        }
    }
}

/// Closes the tunnel of an edge that may not have any more what it has, with the calls on it.
fn revoke(edge: &EdgeHandle, code: Code, why: &dyn Display) {
    warn!(client_id = %edge.client_id(), reason = %why, "edge lost its right to the tunnel");
    edge.session().close(code, &why.to_string());
}

/// Says which labels of the edge count for nothing where the policy of callers asks for them, now and when that changes.
async fn say_not_trusted(edge: &EdgeHandle, edges: &Edges) -> Infallible {
    let (id, labels) = (edge.client_id(), edge.labels());
    let say = |settings: &Settings| {
        let policy = settings.callers.iter();
        for (key, value) in policy.flat_map(|policy| policy.not_trusted(id, labels)) {
            edges.remarks.say(format_args!(
                "the label {key}={value} of the edge {id} counts for nothing, because the policy of callers trusts no edge of \
                 that id with it; if it shall, write below edges there: - {{ids: [{id}], labels: {{{key}: {value:?}}}}}"
            ));
        }
        None
    };
    edges.settings.until(say).await
}

/// Tells calls that wait for the edge when its tunnel takes them again.
async fn tell_of_rotation(edge: &EdgeHandle, registry: &Registry) -> Infallible {
    loop {
        edge.session().back_in_rotation().await;
        registry.waiting().changed(edge.client_id());
    }
}

/// Streams of the edge's own are for kinds that nobody serves yet.
async fn refuse_streams(mut incoming: Incoming) {
    while let Some(stream) = incoming.next().await {
        match stream.read_open(OPEN_TIMEOUT).await {
            Ok(pending) => {
                let reason = "this server takes no streams from edges";
                pending.refuse(Code::Unsupported, reason).await;
            }
            Err(error) => debug!(%error, "stream not opened"),
        }
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
