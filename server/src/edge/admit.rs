//! From an edge's introduction to a place in the registry.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use grpc_multiplexer_tunnel::message::{Code, Endpoint, Hello, Refused, Verdict, Welcome};
use grpc_multiplexer_tunnel::{
    Accepted, Arrival, BARE_ENDPOINT, ClientId, Established, HandshakeError, LegacyEdge,
    TunnelConfig, unsupported_in,
};
use http::uri::{Authority, Scheme};

use super::EdgeHandle;
use super::lanes::Lanes;
use crate::limits::EdgeLimits;
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

/// Answers an edge: taken and registered, or refused with the reason.
///
/// The edge becomes reachable before its tunnel's task runs, so before the welcome leaves: an edge that knows itself
/// connected is.
pub(crate) async fn admit(
    arrival: Arrival,
    remote: SocketAddr,
    registry: &Arc<Registry>,
    config: &TunnelConfig,
    limits: EdgeLimits,
    server_id: &str,
) -> Result<Admitted, HandshakeError> {
    match arrival {
        Arrival::Hello(accepted) => {
            welcome(accepted, remote, registry, config, limits, server_id).await
        }
        Arrival::Legacy(edge) => take_legacy(edge, remote, registry, config, limits),
    }
}

async fn welcome(
    accepted: Accepted,
    remote: SocketAddr,
    registry: &Arc<Registry>,
    config: &TunnelConfig,
    limits: EdgeLimits,
    server_id: &str,
) -> Result<Admitted, HandshakeError> {
    let wanted = match consider(accepted.hello(), registry) {
        Ok(wanted) => wanted,
        Err(refused) => {
            say_refused(remote, &refused);
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
    Ok(wanted
        .offer
        .register(tunnel, software, remote, config, limits))
}

/// An edge of the original's says its id and no more, and is told nothing: a tunnel that is not taken is closed.
fn take_legacy(
    edge: LegacyEdge,
    remote: SocketAddr,
    registry: &Arc<Registry>,
    config: &TunnelConfig,
    limits: EdgeLimits,
) -> Result<Admitted, HandshakeError> {
    let client_id = edge.client_id().clone();
    let reservation = reserve(&client_id, registry).map_err(|refused| {
        say_refused(remote, &refused);
        HandshakeError::Refused(Box::new(refused))
    })?;
    let offer = Offer {
        reservation,
        endpoint_id: BARE_ENDPOINT,
        client_id,
        scheme: Scheme::HTTP,
        // Such an edge makes calls of its own of ours, with an authority of its own.
        authority: Authority::from_static("localhost"),
    };
    let software = "legacy".to_owned();
    Ok(offer.register(edge.take(config), software, remote, config, limits))
}

fn say_refused(remote: SocketAddr, refused: &Refused) {
    tracing::info!(%remote, reason = %refused.text, "edge refused");
}

/// What an edge offers, with the place that is kept for it.
struct Offer {
    reservation: Reservation,
    endpoint_id: u32,
    client_id: ClientId,
    scheme: Scheme,
    authority: Authority,
}

impl Offer {
    fn register(
        self,
        tunnel: Established,
        software: String,
        remote: SocketAddr,
        config: &TunnelConfig,
        limits: EdgeLimits,
    ) -> Admitted {
        let session = &tunnel.session;
        let edge = Arc::new(EdgeHandle {
            client_id: self.client_id,
            generation: self.reservation.generation(),
            session: session.clone(),
            lanes: Lanes::new(
                session.clone(),
                self.endpoint_id,
                config.dial_timeout,
                limits,
            ),
            scheme: self.scheme,
            authority: self.authority,
            software,
            remote,
            since: SystemTime::now(),
        });
        let registration = self.reservation.publish(Arc::clone(&edge));
        Admitted {
            edge,
            tunnel,
            registration,
        }
    }
}

/// What of a hello is served.
struct Wanted {
    offer: Offer,
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
    let reservation = reserve(&client_id, registry)?;
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
        offer: Offer {
            reservation,
            endpoint_id: endpoint.id,
            client_id,
            scheme,
            authority,
        },
        verdicts,
    })
}

fn reserve(client_id: &ClientId, registry: &Arc<Registry>) -> Result<Reservation, Refused> {
    registry.reserve(client_id).map_err(|_| {
        let text = format!(
            "another edge is connected as '{client_id}'; each edge needs a name of its own"
        );
        refused(Code::DuplicateClientId, &text)
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
