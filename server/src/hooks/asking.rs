//! Questions about who may come.
//!
//! Each is a task of the server's own from when it is put, and whoever waits for its answer may leave: what it cost the hook is
//! not lost for others, and how it ended is counted and said. One that is left before it was its turn is not put at all. Of
//! those that are left later some have room beside the others, so that what somebody leaves keeps nobody else waiting.

use std::error::Error;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use grpc_multiplexer_process::Remarks;
use grpc_multiplexer_proto::hooks::v1::AuthorizeRequest;
use grpc_multiplexer_proto::hooks::v1::authorize_request::Who;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument as _, debug, warn};

use super::answer::Answer;
use super::failure::{HookError, line};
use super::json::Json;
use super::options::OnFailure;
use super::place::Place;
use super::question::Question;
use super::{HookMetrics, HookSettings, context};

/// Questions about edges at a time, and as many about callers. One more waits, within its own deadline.
pub(super) const QUESTIONS: usize = 256;
/// Questions beside them whose answers nobody waits for any more. Few, as many servers have no more than 100 to 200 streams.
const LEFT: usize = 64;
/// Things that are told at a time.
const EVENTS: usize = 64;

/// What asks the hook, and tells it.
#[derive(Debug)]
pub(super) struct Asker {
    pub(super) server_id: String,
    pub(super) metrics: HookMetrics,
    pub(super) json: Json,
    edges: Line,
    callers: Line,
    left: Semaphore,
    pub(super) events: Line,
}

/// Those who ask for something of one kind.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) places: Semaphore,
    failed: Remarks,
}

/// The questions about who may come that are under way.
#[derive(Debug, Default)]
pub(super) struct Questions(Mutex<JoinSet<()>>);

/// A question that was put, for those who come while it is under way.
#[derive(Debug)]
pub(super) struct Asking(Weak<watch::Sender<Option<Answer>>>);

/// Somebody who waits for an answer.
#[derive(Debug)]
pub(super) struct Waiting(watch::Receiver<Option<Answer>>);

impl Line {
    fn of(places: usize) -> Self {
        Self {
            places: Semaphore::new(places),
            failed: Remarks::default(),
        }
    }
}

impl Questions {
    /// Puts a question. `note` hears what comes of it before those who wait.
    pub(super) fn put(
        &self,
        asker: &Arc<Asker>,
        terms: HookSettings,
        who: Who,
        note: impl FnOnce(&Answer) + Send + 'static,
    ) -> (Asking, Waiting) {
        let (answer, waiting) = watch::channel(None);
        let answer = Arc::new(answer);
        let asking = Asking(Arc::downgrade(&answer));
        let asker = Arc::clone(asker);
        // A panic while the lock is held leaves tasks that are still whole.
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        let ask = async move {
            if let Some(came) = asker.authorize(&terms, who, &answer).await {
                note(&came);
                answer.send_replace(Some(came));
            }
        };
        tasks.spawn(ask.in_current_span());
        (asking, Waiting(waiting))
    }
}

impl Asking {
    /// Waits for its answer, too, unless it is over.
    pub(super) fn join(&self) -> Option<Waiting> {
        let answer = self.0.upgrade()?;
        Some(Waiting(answer.subscribe()))
    }
}

impl Waiting {
    /// What comes of it; `None` where it was not put after all.
    pub(super) async fn answer(mut self) -> Option<Answer> {
        let answer = self.0.wait_for(Option::is_some).await.ok()?;
        answer.clone()
    }
}

impl Asker {
    pub(super) fn new(server_id: String, metrics: HookMetrics) -> Self {
        Self {
            server_id,
            metrics,
            json: Json::default(),
            edges: Line::of(QUESTIONS),
            callers: Line::of(QUESTIONS),
            left: Semaphore::new(LEFT),
            events: Line::of(EVENTS),
        }
    }

    /// What the hook says of somebody, or what comes of it that it does not; `None` if nobody waited any more when it was its
    /// turn.
    async fn authorize(
        &self,
        terms: &HookSettings,
        who: Who,
        waiting: &watch::Sender<Option<Answer>>,
    ) -> Option<Answer> {
        let (line, prefix) = match who {
            Who::Edge(_) => (&self.edges, context::OF_EDGES),
            Who::Caller(_) => (&self.callers, context::OF_CALLERS),
        };
        let whom = Whom::of(&who);
        let request = AuthorizeRequest {
            server_id: self.server_id.clone(),
            who: Some(who),
        };
        let started = Instant::now();
        let deadline = started + terms.timeout;
        let at_once = line.places.try_acquire().ok();
        let is_late = at_once.is_none();
        let place = match at_once {
            Some(place) => Some(place),
            None => tokio::select! {
                biased;
                () = waiting.closed() => return None,
                place = timeout_at(deadline, line.places.acquire()) => place.ok().and_then(Result::ok),
            },
        };
        let answer = async {
            let place = place.ok_or(HookError::Busy(terms.timeout))?;
            let asked = self.ask(terms, request, deadline);
            let response = self.given_or_left(asked, place, waiting).await;
            let response = response.map_err(|error| match error {
                // It had less than all of the time.
                HookError::Slow(time) if is_late => HookError::Busy(time),
                error => error,
            });
            Ok(Answer::read(response?, prefix)?)
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
        let failed = |error| line.failed(terms, &whom, &error);
        Some(answer.unwrap_or_else(failed))
    }

    /// What comes of a question that has a place. When nobody waits for it any more it goes on without, if there is room beside.
    async fn given_or_left<T>(
        &self,
        asked: impl Future<Output = T>,
        place: SemaphorePermit<'_>,
        waiting: &watch::Sender<Option<Answer>>,
    ) -> T {
        let mut asked = pin!(asked);
        tokio::select! {
            biased;
            answer = &mut asked => return answer,
            () = waiting.closed() => {}
        }
        let room = self.left.try_acquire();
        // Nor is a question taken back where there is no room: servers end connections on which many are.
        let _place = room.is_err().then_some(place);
        asked.await
    }

    /// Puts a question, whichever way the hook speaks.
    pub(super) async fn ask<Q: Question>(
        &self,
        terms: &HookSettings,
        question: Q,
        deadline: Instant,
    ) -> Result<Q::Answer, HookError> {
        let answer = match &*terms.place {
            Place::Grpc(link) => link.ask(question, deadline).await,
            Place::Json(url) => timeout_at(deadline, self.json.ask(url, &question)).await,
        };
        answer.unwrap_or(Err(HookError::Slow(terms.timeout)))
    }
}

impl Line {
    /// Says what went wrong, and what comes of it.
    fn failed(&self, terms: &HookSettings, whom: &Whom, error: &HookError) -> Answer {
        let is_let_in = terms.on_failure == OnFailure::Allow && error.is_absence();
        debug!(%error, is_let_in, "the hook says nothing of somebody");
        if let Some(times) = self.again(error) {
            let Whom {
                who,
                client_id,
                remote,
            } = whom;
            let error: &dyn Error = error;
            warn!(
                hook = %terms.place, %who, %client_id, %remote, times, error, is_let_in,
                "the hook did not say who may come"
            );
        }
        Answer::without(is_let_in)
    }

    /// How often that went wrong since it was said last, if it is time to say so: each kind of thing is said once a minute.
    pub(super) fn again(&self, error: &HookError) -> Option<u64> {
        self.failed.again(&error.kind())
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
            client_id: line(client_id),
            remote: remote.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
