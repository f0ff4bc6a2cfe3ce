//! From an edge's introduction to a place in the registry.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use grpc_multiplexer_tunnel::message::{Auth, Code, Hello, Refused, Welcome};
use grpc_multiplexer_tunnel::{
    Accepted, Arrival, ClientId, Established, HandshakeError, LegacyEdge, Session,
};
use tokio::time::sleep;
use tracing::warn;

use super::EdgeHandle;
use super::listener::Edges;
use super::offer::{Offer, refused, verdicts};
use crate::Settings;
use crate::credential::{Admission, Claim, Credential, Denied, EnrolmentDenied};
use crate::newcomers::Seat;
use crate::registry::{Ban, Conflict, Identity, Newcomer, Registered, Registration, Token};

/// When an edge should ask again whose id another has, or whose credential cannot be checked just now: often enough that
/// callers who wait for the id do not notice the moment in which it has no edge, where one edge is stopped and another started
/// in its place.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// When an edge that an operator keeps out should ask again at the latest: it may be let in before its time.
const ASK_WHILE_BANNED: Duration = Duration::from_secs(15);

/// When an edge should ask again that could not be enrolled, because of the server.
const WRITTEN_BY_THEN: Duration = Duration::from_secs(5);

/// An edge that was admitted.
pub(super) struct Admitted {
    pub(super) edge: Arc<EdgeHandle>,
    pub(super) tunnel: Established,
    /// What let it in.
    pub(super) admission: Admission,
    /// The edge is reachable while this lives, unless another takes its place.
    pub(super) registration: Registration,
}

impl Edges {
    /// Answers an edge: taken and registered, or refused with the reason.
    ///
    /// The edge becomes reachable before its tunnel's task runs, so before the welcome leaves: an edge that knows itself
    /// connected is.
    pub(super) async fn admit(
        &self,
        arrival: Arrival,
        remote: SocketAddr,
        credential: Credential,
        seat: &Seat,
    ) -> Result<Admitted, HandshakeError> {
        match arrival {
            Arrival::Hello(accepted) => self.welcome(accepted, remote, credential, seat).await,
            Arrival::Legacy(edge) => self.take_legacy(edge, remote, credential, seat).await,
        }
    }

    async fn welcome(
        &self,
        mut accepted: Accepted,
        remote: SocketAddr,
        credential: Credential,
        seat: &Seat,
    ) -> Result<Admitted, HandshakeError> {
        let considered = self.consider(&mut accepted, remote, credential, seat).await;
        let (registered, admission) = match considered {
            Ok(considered) => considered,
            Err(HandshakeError::Refused(refused)) => {
                let id = id_in(accepted.hello());
                self.say_refused(id.as_ref(), remote, &refused);
                accepted.refuse((*refused).clone()).await?;
                return Err(HandshakeError::Refused(refused));
            }
            Err(error) => return Err(error),
        };
        let Registered {
            edge,
            registration,
            token,
        } = registered;
        let welcome = Welcome {
            server_id: self.server_id.clone(),
            verdicts: verdicts(accepted.hello(), edge.generation()),
            heartbeat: prost_types::Duration::try_from(self.config.heartbeat.interval).ok(),
            resume_token: token.as_ref().map(Token::bytes).unwrap_or_default(),
            max_age: self
                .settings
                .now(|settings| settings.max_tunnel_age)
                .and_then(|age| age.try_into().ok()),
            ..Welcome::default()
        };
        Ok(Admitted {
            tunnel: accepted.welcome(welcome).await?,
            admission,
            edge,
            registration,
        })
    }

    async fn consider(
        &self,
        accepted: &mut Accepted,
        remote: SocketAddr,
        credential: Credential,
        seat: &Seat,
    ) -> Result<(Registered, Admission), HandshakeError> {
        let offer = Offer::of(accepted.hello(), remote)?;
        let auth = accepted.hello().auth.clone();
        let proven = match Claim::of(auth.as_ref())? {
            Some(claim) => {
                let proof = accepted.challenge(&claim.nonce()).await?;
                Some((claim, proof))
            }
            None => None,
        };
        let identity = Identity::of(accepted.hello());
        let session = accepted.session();
        // Boxed: large, and over soon.
        let decision = Box::pin(async {
            let credential = self.shown(credential, auth.as_ref(), proven, &offer);
            let decided = self.decide(credential.await?, offer, auth.as_ref(), seat);
            let (offer, admission) = decided.await?;
            let identity =
                identity.map_err(|error| refused(Code::Malformed, &error.to_string()))?;
            let registered = self.register(&offer, identity.as_ref(), &session).await?;
            Ok::<_, Refused>((registered, admission))
        });
        // An edge that hung up gets no id: it would take the place of one that is there.
        Ok(accepted.while_there(decision).await??)
    }

    /// What an edge shows in all: what its connection does, and its hello, of which a key needs proof.
    async fn shown(
        &self,
        credential: Credential,
        auth: Option<&Auth>,
        proven: Option<(Claim, Vec<u8>)>,
        offer: &Offer,
    ) -> Result<Credential, Refused> {
        let Some((claim, proof)) = proven else {
            return Ok(credential.and(auth)?.verified(&self.jwts, auth).await);
        };
        match credential.and_key(claim, &proof) {
            Ok(credential) => Ok(credential),
            Err(denied) => Err(self.deny(denied, offer).await),
        }
    }

    /// An edge of the original's is told nothing: a tunnel that is not taken is closed.
    async fn take_legacy(
        &self,
        edge: LegacyEdge,
        remote: SocketAddr,
        credential: Credential,
        seat: &Seat,
    ) -> Result<Admitted, HandshakeError> {
        let id = edge.client_id().clone();
        let considered = self.consider_legacy(edge, remote, credential, seat).await;
        considered.inspect_err(|error| {
            if let HandshakeError::Refused(refused) = error {
                self.say_refused(Some(&id), remote, refused);
            }
        })
    }

    async fn consider_legacy(
        &self,
        mut edge: LegacyEdge,
        remote: SocketAddr,
        credential: Credential,
        seat: &Seat,
    ) -> Result<Admitted, HandshakeError> {
        let offer = Offer::legacy(edge.client_id().clone(), remote);
        let decision = Box::pin(self.decide(credential, offer, None, seat));
        let (offer, admission) = edge.while_there(decision).await??;
        let tunnel = edge.take(&self.config);
        let registered = self.register(&offer, None, &tunnel.session).await?;
        Ok(Admitted {
            edge: registered.edge,
            tunnel,
            admission,
            registration: registered.registration,
        })
    }

    /// Sees that an edge may come as what it offers, by its credential and then by the hook.
    async fn decide(
        &self,
        credential: Credential,
        offer: Offer,
        auth: Option<&Auth>,
        seat: &Seat,
    ) -> Result<(Offer, Admission), Refused> {
        let admission = self.check(credential, &offer).await?;
        if admission.is_of_somebody() {
            seat.free();
        }
        let offer = self.authorize(offer.admitted(&admission), &admission, auth);
        Ok((offer.await?, admission))
    }

    /// Sees that an edge may have the id that it wants.
    async fn check(&self, credential: Credential, offer: &Offer) -> Result<Admission, Refused> {
        let admit = |credential: &Credential| {
            let admit = |settings: &Settings| settings.edges.admit(credential, &offer.client_id);
            self.settings.now(admit)
        };
        let mut credential = credential.looked_up(self.enrolled.as_deref());
        let mut admitted = admit(&credential);
        if admitted.is_err()
            && let Some(enrolled) = self.enrol(&credential, offer).await
        {
            admitted = enrolled.and_then(|enrolled| {
                credential = enrolled;
                admit(&credential)
            });
        }
        match admitted {
            Ok((principal, serves)) => Ok(Admission {
                credential,
                principal,
                serves,
            }),
            Err(denied) => Err(self.deny(denied, offer).await),
        }
    }

    /// A no to whoever shows what is wrong. It may take its time.
    async fn deny(&self, denied: Denied, offer: &Offer) -> Refused {
        if let Denied::Enrolment(EnrolmentDenied::Unwritten | EnrolmentDenied::Busy) = denied {
            return for_now(denied.code(), &denied.to_string(), WRITTEN_BY_THEN);
        }
        sleep(self.failures.another(offer.remote.ip())).await;
        let (code, text) = (denied.code(), denied.to_string());
        if denied.is_for_now() {
            for_now(code, &text, ASK_AGAIN)
        } else {
            refused(code, &text)
        }
    }

    /// Gives an edge its id, or says why not. Whoever has it is asked for a sign of life first, where that matters.
    async fn register(
        &self,
        offer: &Offer,
        identity: Option<&Identity>,
        session: &Session,
    ) -> Result<Registered, Refused> {
        let newcomer = Newcomer {
            id: &offer.client_id,
            identity,
            duplicates: self.settings.now(|settings| settings.duplicate_client_id),
            silent: &[],
        };
        let register = |newcomer| {
            let edge = |generation| offer.edge(session, generation, &self.lanes);
            self.registry.register(newcomer, edge)
        };
        let mut registered = register(&newcomer);
        if let Err(Conflict::Taken) = registered
            && let Some(silent) = self.registry.probe(newcomer.id).await
        {
            registered = register(&Newcomer {
                silent: &silent,
                ..newcomer
            });
        }
        registered.map_err(|conflict| refuse(&conflict, offer))
    }

    /// Says why an edge was refused, and which, where that matters.
    pub(super) fn say_refused(&self, id: Option<&ClientId>, remote: SocketAddr, refused: &Refused) {
        let (from, reason) = (remote.ip(), &refused.text);
        let id = id.map(|id| format!("client id {id}, ")).unwrap_or_default();
        self.remarks
            .say(format_args!("edge refused: {reason} ({id}from {from})"));
    }
}

/// The client id that an edge wants, where it is one.
fn id_in(hello: &Hello) -> Option<ClientId> {
    hello.endpoints.first()?.client_id.parse().ok()
}

fn refuse(conflict: &Conflict, offer: &Offer) -> Refused {
    let Offer {
        client_id, remote, ..
    } = offer;
    match conflict {
        Conflict::Banned(ban) => banned(ban, client_id),
        Conflict::Taken => {
            let text = format!(
                "another edge is connected as '{client_id}'; each edge needs a name of its own"
            );
            duplicate(&text, ASK_AGAIN)
        }
        Conflict::Held { left, incumbent } => {
            if let Some(incumbent) = incumbent {
                warn!(
                    %client_id, %incumbent, newcomer = %remote, hold = ?left,
                    "edges take one client id from each other in turn: the newcomers are refused for a while"
                );
            }
            let text = format!(
                "several edges take '{client_id}' from each other in turn; each edge needs a name of its own"
            );
            duplicate(&text, *left)
        }
    }
}

fn duplicate(text: &str, retry_after: Duration) -> Refused {
    for_now(Code::DuplicateClientId, text, retry_after)
}

/// The text is the same for as long as the ban holds, so that the log does not fill with it.
fn banned(ban: &Ban, client_id: &ClientId) -> Refused {
    let Ban { time, reason, .. } = ban;
    let text = format!("an operator keeps the client id '{client_id}' out for {time:?}: {reason}");
    for_now(Code::Kicked, &text, ban.left().min(ASK_WHILE_BANNED))
}

/// A no for a reason that time may mend.
pub(super) fn for_now(code: Code, text: &str, retry_after: Duration) -> Refused {
    Refused {
        retry_after: prost_types::Duration::try_from(retry_after).ok(),
        ..refused(code, text)
    }
}
