//! What an edge offers, read from its hello.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, RwLock};
use std::time::SystemTime;

use grpc_multiplexer_tunnel::message::{Code, Endpoint, Hello, Refused, Verdict};
use grpc_multiplexer_tunnel::{BARE_ENDPOINT, ClientId, Labels, Session, unsupported_in};
use http::uri::{Authority, Scheme};
use tokio::runtime::Handle;

use super::EdgeHandle;
use super::lanes::Terms;
use crate::credential::{Admission, Serves};
use crate::hooks::Context;
use crate::registry::Generation;

/// Longest description of its software that an edge may give.
const SOFTWARE: usize = 128;

/// One endpoint, and who offers it.
pub(crate) struct Offer {
    pub(crate) client_id: ClientId,
    pub(crate) labels: Labels,
    pub(crate) remote: SocketAddr,
    endpoint_id: u32,
    scheme: Scheme,
    authority: Authority,
    pub(super) software: String,
    /// What its credential lets it serve, once that was looked at.
    serves: Serves,
    /// What the hook says of it, once it was asked.
    context: Context,
}

impl Offer {
    /// The first endpoint of `hello`; [`verdicts`] gives every further one its own no.
    pub(crate) fn of(hello: &Hello, remote: SocketAddr) -> Result<Self, Refused> {
        if let Some(refused) = unsupported_in(hello) {
            return Err(refused);
        }
        let Some(endpoint) = hello.endpoints.first() else {
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
        let labels = Labels::try_from(&endpoint.labels)
            .map_err(|error| refused(Code::Malformed, &format!("labels: {error}")))?;
        let scheme = match endpoint.scheme.as_str() {
            "http" => Scheme::HTTP,
            "https" => Scheme::HTTPS,
            _ => return Err(refused(Code::Malformed, "scheme must be http or https")),
        };
        let authority = endpoint
            .authority
            .parse()
            .map_err(|_| refused(Code::Malformed, "authority is not HOST or HOST:PORT"))?;
        Ok(Self {
            client_id,
            labels,
            remote,
            endpoint_id: endpoint.id,
            scheme,
            authority,
            software: software(hello),
            serves: Serves::default(),
            context: Context::default(),
        })
    }

    /// That of an edge of the original's, which says its id and no more.
    pub(crate) fn legacy(client_id: ClientId, remote: SocketAddr) -> Self {
        Self {
            client_id,
            labels: Labels::default(),
            remote,
            endpoint_id: BARE_ENDPOINT,
            scheme: Scheme::HTTP,
            // Such an edge makes calls of its own of ours, with an authority of its own.
            authority: Authority::from_static("localhost"),
            software: "legacy".to_owned(),
            serves: Serves::default(),
            context: Context::default(),
        }
    }

    /// The same, once its credential was looked at.
    pub(super) fn admitted(self, admission: &Admission) -> Self {
        let serves = admission.serves.clone();
        Self { serves, ..self }
    }

    /// The same, once the hook said what is to be known of it.
    pub(super) fn known(self, context: Context) -> Self {
        Self { context, ..self }
    }

    /// The edge, once it has its generation. To be called where the tunnel is served.
    pub(crate) fn edge(
        &self,
        session: &Session,
        generation: Generation,
        terms: &Arc<Terms>,
    ) -> EdgeHandle {
        EdgeHandle {
            client_id: self.client_id.clone(),
            generation,
            session: session.clone(),
            lanes: OnceLock::new(),
            terms: Arc::clone(terms),
            endpoint_id: self.endpoint_id,
            home: Handle::current(),
            scheme: self.scheme.clone(),
            authority: self.authority.clone(),
            software: self.software.as_str().into(),
            labels: self.labels.clone(),
            context: self.context.clone(),
            serves: RwLock::new(self.serves.clone()),
            remote: self.remote,
            since: SystemTime::now(),
        }
    }
}

/// One for each endpoint of `hello`, of which the first was registered.
pub(crate) fn verdicts(hello: &Hello, generation: Generation) -> Vec<Verdict> {
    let first = hello.endpoints.iter().take(1).map(|endpoint| Verdict {
        endpoint_id: endpoint.id,
        generation,
        ..Verdict::default()
    });
    let further = hello.endpoints.iter().skip(1).map(|endpoint| Verdict {
        endpoint_id: endpoint.id,
        code: Code::Unsupported.into(),
        text: "this server serves one endpoint per edge".to_owned(),
        ..Verdict::default()
    });
    first.chain(further).collect()
}

/// A field of an endpoint that is set and not served yet.
fn unserved_field(endpoint: &Endpoint) -> Option<&'static str> {
    [
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

/// A no for a reason that time does not mend.
pub(crate) fn refused(code: Code, text: &str) -> Refused {
    Refused {
        code: code.into(),
        text: text.to_owned(),
        retry_after: None,
    }
}
