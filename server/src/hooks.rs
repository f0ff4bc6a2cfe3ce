//! What users decide, and hear: a service of theirs, which this server asks before it lets anybody in, and tells who came
//! and who left.
//!
//! Over gRPC, or as JSON over HTTP/1 (`place` and `question` make them one). It is asked last, when what the server itself
//! asks for was shown: an answer can only refuse more. `asking` has the questions: every one has a deadline, and there are only
//! so many at a time of each kind.
//!
//! Nothing that comes from a hook is trusted to be well-formed: `answer` says what of it counts. A failure is never an
//! answer; what is done then is for the options to say.
//!
//! What it is told of edges comes from the registry, by way of the `outbox`, and `teller` tells it until it knows. With a state
//! folder, what it is told is in the `journal`, and the next server tells the rest.

mod answer;
mod asking;
mod callers;
mod context;
mod failure;
mod journal;
mod json;
mod link;
mod metrics;
mod options;
mod outbox;
mod place;
mod question;
mod teller;
mod telling;

use std::sync::Arc;

use grpc_multiplexer_proto::hooks::v1::ArrivingEdge;
use grpc_multiplexer_proto::hooks::v1::authorize_request::Who;
use grpc_multiplexer_tunnel::ClientId;

use crate::settings::Live;
pub(crate) use answer::Allowed;
use answer::Answer;
use asking::{Asker, Questions};
use callers::Answers;
pub(crate) use context::Context;
pub(crate) use failure::NotAuthorized;
pub(crate) use journal::Journal;
pub(crate) use metrics::HookMetrics;
pub use options::HookSettings;
pub(crate) use outbox::Outbox;

/// What the hook of this server is asked and told by way of.
#[derive(Debug)]
pub(crate) struct Hooks {
    settings: Live,
    asker: Arc<Asker>,
    questions: Questions,
    /// What was said of callers.
    answers: Answers,
}

impl Hooks {
    pub(crate) fn new(settings: Live, server_id: String, metrics: HookMetrics) -> Self {
        Self {
            settings,
            asker: Arc::new(Asker::new(server_id, metrics)),
            questions: Questions::default(),
            answers: Answers::default(),
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
        let (_, waiting) = self.questions.put(&self.asker, terms, who, |_| ());
        let answer = waiting.answer().await;
        let allowed = answer.unwrap_or(Answer::without(false)).verdict?;
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
}

/// Where nobody asks: a server without a hook.
#[cfg(test)]
impl Hooks {
    pub(crate) fn none() -> Arc<Self> {
        let settings = Live::Fixed(Box::default());
        let none = Self::new(settings, String::new(), HookMetrics::default());
        Arc::new(none)
    }
}
