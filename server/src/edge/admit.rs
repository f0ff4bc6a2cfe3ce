//! From a hello to a place in the registry.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use grpc_multiplexer_tunnel::message::{Code, Endpoint, Hello, Refused, Verdict, Welcome};
use grpc_multiplexer_tunnel::{
    Accepted, ClientId, Established, HandshakeError, TunnelConfig, unsupported_in,
};
use http::uri::{Authority, Scheme};

use super::EdgeHandle;
use super::lanes::Lanes;
use crate::registry::{Registration, Registry, Reservation};

/// Longest description of its software that an edge may give.
const SOFTWARE: usize = 128;

/// An edge that was admitted.
pub(crate) struct Admitted {
    pub(crate) edge: Arc<EdgeHandle>,
    pub(crate) tunnel: Established,
    /// The edge is reachable while this lives.
    pub(crate) registration: Registration,
}

/// Answers a hello: welcome and registered, or refused with the reason.
///
/// The edge becomes reachable before its tunnel's task runs, so before the welcome leaves: an edge that knows itself
/// connected is.
pub(crate) async fn admit(
    accepted: Accepted,
    remote: SocketAddr,
    registry: &Arc<Registry>,
    config: &TunnelConfig,
    server_id: &str,
) -> Result<Admitted, HandshakeError> {
    let wanted = match consider(accepted.hello(), registry) {
        Ok(wanted) => wanted,
        Err(refused) => {
            tracing::info!(%remote, reason = %refused.text.escape_debug(), "edge refused");
            accepted.refuse(refused.clone()).await?;
            return Err(HandshakeError::Refused(Box::new(refused)));
        }
    };
    let software = software(accepted.hello());
    let welcome = Welcome {
        server_id: server_id.to_owned(),
        verdicts: wanted.verdicts,
        heartbeat: prost_types::Duration::try_from(config.heartbeat.interval).ok(),
        ..Welcome::default()
    };
    let tunnel = accepted.welcome(welcome).await?;
    let edge = Arc::new(EdgeHandle {
        client_id: wanted.client_id,
        generation: wanted.reservation.generation(),
        session: tunnel.session.clone(),
        lanes: Lanes::new(
            tunnel.session.clone(),
            wanted.endpoint_id,
            config.dial_timeout,
        ),
        scheme: wanted.scheme,
        authority: wanted.authority,
        software,
        remote,
        since: SystemTime::now(),
    });
    let registration = wanted.reservation.publish(Arc::clone(&edge));
    Ok(Admitted {
        edge,
        tunnel,
        registration,
    })
}

/// What of a hello is served.
struct Wanted {
    reservation: Reservation,
    endpoint_id: u32,
    client_id: ClientId,
    scheme: Scheme,
    authority: Authority,
    verdicts: Vec<Verdict>,
}

/// Takes the first endpoint; every further one gets its own no.
fn consider(hello: &Hello, registry: &Arc<Registry>) -> Result<Wanted, Refused> {
    if let Some(refused) = unsupported_in(hello) {
        return Err(refused);
    }
    let Some((endpoint, further)) = hello.endpoints.split_first() else {
        return Err(refused(Code::Malformed, "the hello offers no endpoint"));
    };
    if let Some(field) = unserved_field(endpoint) {
        let text = format!("this server does not serve an endpoint's {field}");
        return Err(refused(Code::Unsupported, &text));
    }
    let client_id: ClientId = endpoint
        .client_id
        .parse()
        .map_err(|error| refused(Code::InvalidClientId, &format!("client id {error}")))?;
    let scheme = match endpoint.scheme.as_str() {
        "http" => Scheme::HTTP,
        "https" => Scheme::HTTPS,
        _ => return Err(refused(Code::Malformed, "scheme must be http or https")),
    };
    let authority = endpoint
        .authority
        .parse()
        .map_err(|_| refused(Code::Malformed, "authority is not HOST or HOST:PORT"))?;
    let reservation = registry.reserve(&client_id).map_err(|_| {
        let text = format!("another edge is connected as '{client_id}'");
        refused(Code::DuplicateClientId, &text)
    })?;
    let mut verdicts = vec![Verdict {
        endpoint_id: endpoint.id,
        generation: reservation.generation(),
        ..Verdict::default()
    }];
    verdicts.extend(further.iter().map(|endpoint| Verdict {
        endpoint_id: endpoint.id,
        code: Code::Unsupported.into(),
        text: "this server serves one endpoint per edge".to_owned(),
        ..Verdict::default()
    }));
    Ok(Wanted {
        reservation,
        endpoint_id: endpoint.id,
        client_id,
        scheme,
        authority,
        verdicts,
    })
}

/// A field of an endpoint that is set and not served yet.
fn unserved_field(endpoint: &Endpoint) -> Option<&'static str> {
    [
        (!endpoint.labels.is_empty(), "labels"),
        (!endpoint.services.is_empty(), "services"),
        (!endpoint.path_prefixes.is_empty(), "path_prefixes"),
        (endpoint.weight != 0, "weight"),
    ]
    .into_iter()
    .find_map(|(set, field)| set.then_some(field))
}

/// What the edge says of its software, made harmless for logs and lists.
fn software(hello: &Hello) -> String {
    hello
        .software
        .chars()
        .filter(|c| c.is_ascii_graphic() || *c == ' ')
        .take(SOFTWARE)
        .collect()
}

fn refused(code: Code, text: &str) -> Refused {
    Refused {
        code: code.into(),
        text: text.to_owned(),
        retry_after: None,
    }
}
