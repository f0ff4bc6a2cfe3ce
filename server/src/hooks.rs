//! What users decide, and hear: a service of theirs, which this server asks before it lets anybody in, and tells who came
//! and who left.
//!
//! Over gRPC, or as JSON over HTTP/1 (`place` and `question` make them one). It is asked last, when what the server itself
//! asks for was shown: an answer can only refuse more. Every question has a deadline, whoever waits for the answer waits
//! alone, and there are only so many questions at a time of each kind.
//!
//! Nothing that comes from a hook is trusted to be well-formed: `answer` says what of it counts. A failure is never an
//! answer; what is done then is for the options to say.
//!
//! What it is told of edges comes from the registry, by way of the `outbox`, and `teller` tells it until it knows. With a state
//! folder, what it is told is in the `journal`, and the next server tells the rest.

mod answer;
mod callers;
mod context;
mod failure;
mod journal;
mod json;
mod metrics;
mod options;
mod outbox;
mod place;
mod question;
mod teller;
mod telling;

use grpc_multiplexer_process::Remarks;
use grpc_multiplexer_proto::hooks::v1::authorize_request::Who;
use grpc_multiplexer_proto::hooks::v1::{ArrivingEdge, AuthorizeRequest};
use grpc_multiplexer_tunnel::ClientId;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, warn};

use crate::settings::Live;
pub(crate) use answer::Allowed;
use answer::Answer;
use callers::Answers;
pub(crate) use context::Context;
use failure::HookError;
pub(crate) use failure::NotAuthorized;
pub(crate) use journal::Journal;
use json::Json;
pub(crate) use metrics::HookMetrics;
pub use options::HookSettings;
use options::OnFailure;
pub(crate) use outbox::Outbox;
use place::Channels;
use question::Question;

/// Questions about edges at a time, and as many about callers. One more waits, within its own deadline.
const QUESTIONS: usize = 256;
/// Things that are told at a time.
const EVENTS: usize = 64;

/// What the hook of this server is asked and told by way of.
#[derive(Debug)]
pub(crate) struct Hooks {
    settings: Live,
    server_id: String,
    metrics: HookMetrics,
    channels: Channels,
    json: Json,
    /// Places for questions about edges.
    edges: Semaphore,
    /// The same for callers, and what was said of them.
    callers: Semaphore,
    answers: Answers,
    /// Places for what is told.
    events: Semaphore,
    failed: Remarks,
}

impl Hooks {
    pub(crate) fn new(settings: Live, server_id: String, metrics: HookMetrics) -> Self {
        Self {
            settings,
            server_id,
            metrics,
            channels: Channels::default(),
            json: Json::default(),
            edges: Semaphore::new(QUESTIONS),
            callers: Semaphore::new(QUESTIONS),
            answers: Answers::default(),
            events: Semaphore::new(EVENTS),
            failed: Remarks::default(),
        }
    }

    /// What the hook says of an edge that wants `id`, and that the server itself would let in: what is to be known of it. The
    /// edge is described with its token, or without.
    pub(crate) async fn authorize_edge(
        &self,
        edge: impl FnOnce(bool) -> ArrivingEdge,
        id: &ClientId,
    ) -> Result<Context, NotAuthorized> {
        let terms = self.settings.now(|settings| settings.hooks.clone());
        let Some(terms) = terms.filter(|terms| terms.edges) else {
            return Ok(Context::default());
        };
        let who = Who::Edge(edge(terms.send_tokens));
        let deadline = Instant::now() + terms.timeout;
        let answer = self.question(&terms, &self.edges, who, deadline).await;
        let allowed = answer.verdict?;
        if !allowed.has(id) {
            return Err(NotAuthorized::OtherId(id.clone()));
        }
        Ok(allowed.context().clone())
    }

    /// Whether it is to be told of edges.
    pub(crate) fn is_told(&self) -> bool {
        let is_told = |hooks: &HookSettings| hooks.events;
        self.settings
            .now(|settings| settings.hooks.as_ref().is_some_and(is_told))
    }

    /// What the hook says of somebody by then, or what comes of it that it does not.
    async fn question(
        &self,
        terms: &HookSettings,
        places: &Semaphore,
        who: Who,
        deadline: Instant,
    ) -> Answer {
        let prefix = match who {
            Who::Edge(_) => context::OF_EDGES,
            Who::Caller(_) => context::OF_CALLERS,
        };
        let whom = Whom::of(&who);
        let request = AuthorizeRequest {
            server_id: self.server_id.clone(),
            who: Some(who),
        };
        let started = Instant::now();
        let answer = async {
            let place = timeout_at(deadline, places.acquire()).await;
            let place = place.map_err(|_| HookError::Busy(terms.timeout))?;
            let _place = place.expect("it is never closed");
            let response = timeout_at(deadline, self.ask(terms, request)).await;
            let response = response.map_err(|_| HookError::Slow(terms.timeout))??;
            Ok::<_, HookError>(Answer::read(response, prefix)?)
        };
        let answer = answer.await;
        let result = match &answer {
            Ok(Answer { verdict: Ok(_), .. }) => "allowed",
            Ok(Answer {
                verdict: Err(_), ..
            }) => "refused",
            Err(_) => "failed",
        };
        let took = started.elapsed();
        self.metrics.answered("authorize", result, took);
        let error = match answer {
            Ok(answer) => return answer,
            Err(error) => error,
        };
        let is_let_in = terms.on_failure == OnFailure::Allow && error.is_absence();
        debug!(%error, is_let_in, "the hook says nothing of somebody");
        if let Some(times) = self.again(whom.who, &error) {
            let Whom {
                who,
                client_id,
                remote,
            } = &whom;
            let error: &dyn std::error::Error = &error;
            warn!(
                hook = %terms.place, %who, %client_id, %remote, times, error, is_let_in,
                "the hook did not say who may come"
            );
        }
        Answer::without(is_let_in)
    }

    /// How often that went wrong with an `edge`, a `caller` or an `event` since it was said last, if it is time to say so:
    /// everything that goes wrong is said once a minute.
    fn again(&self, with: &str, error: &HookError) -> Option<u64> {
        self.failed.again(&format!("{with}: {error}"))
    }

    /// Puts a question. It has no deadline of its own.
    async fn ask<Q: Question>(
        &self,
        terms: &HookSettings,
        question: Q,
    ) -> Result<Q::Answer, HookError> {
        match &*terms.place {
            place::Place::Grpc(_) => {
                let answer = question.ask(self.channels.to(&terms.place)).await;
                let answer = answer.map_err(|status| HookError::grpc(&status))?;
                Ok(answer.into_inner())
            }
            place::Place::Json(url) => self.json.ask(url, &question).await,
        }
    }
}

/// Whom a question is about, as the log has it.
struct Whom {
    who: &'static str,
    client_id: String,
    remote: String,
}

impl Whom {
    fn of(who: &Who) -> Self {
        let (who, client_id, remote) = match who {
            Who::Edge(edge) => ("edge", &edge.client_id, &edge.remote_address),
            Who::Caller(caller) => ("caller", &caller.client_id, &caller.remote_address),
        };
        Self {
            who,
            client_id: context::line(client_id),
            remote: remote.clone(),
        }
    }
}

/// Where nobody asks: a server without a hook.
#[cfg(test)]
impl Hooks {
    pub(crate) fn none() -> std::sync::Arc<Self> {
        let settings = Live::Fixed(Box::default());
        let none = Self::new(settings, String::new(), HookMetrics::default());
        std::sync::Arc::new(none)
    }
}
