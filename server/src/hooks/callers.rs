//! What the hook says of callers.
//!
//! Calls are many, so that an answer may be kept: for as long as it says, for calls with the same credentials from the same
//! address. While such an answer may come, others with those credentials wait for it, within their own time, and do not ask
//! as well; where answers are for one call, each call is asked for by itself.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use grpc_multiplexer_proto::hooks::v1::ArrivingCaller;
use grpc_multiplexer_proto::hooks::v1::authorize_request::Who;
use grpc_multiplexer_tunnel::ClientId;
use tokio::time::{Instant, timeout_at};

use super::answer::{Allowed, Answer};
use super::failure::{HookError, NotAuthorized};
use super::{HookSettings, Hooks};
use crate::credential::Digest;

/// Credentials whose answers are kept.
const MOST: usize = 10_000;

/// The answers for one caller's credentials.
#[derive(Debug, Default)]
struct Slot {
    kept: tokio::sync::Mutex<Option<Kept>>,
    /// Whether the last answer was for one call.
    is_for_each: AtomicBool,
}

#[derive(Debug)]
struct Kept {
    answer: Answer,
    until: Instant,
}

/// All that are kept.
#[derive(Debug, Default)]
pub(super) struct Answers(Mutex<HashMap<Digest, Arc<Slot>>>);

impl Answers {
    fn of(&self, credentials: Digest) -> Arc<Slot> {
        // A panic while the lock is held leaves a table that is still whole.
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MOST && !slots.contains_key(&credentials) {
            slots.retain(|_, slot| slot.is_in_use());
            if slots.len() >= MOST
                && let Some(any) = slots.keys().next().copied()
            {
                slots.remove(&any);
            }
        }
        Arc::clone(slots.entry(credentials).or_default())
    }
}

impl Slot {
    fn note(&self, answer: &Answer) {
        let is_for_each = answer.cache_for.is_zero();
        self.is_for_each.store(is_for_each, Ordering::Relaxed);
    }

    fn is_in_use(self: &Arc<Self>) -> bool {
        let kept = self.kept.try_lock();
        kept.is_ok_and(|kept| kept.as_ref().is_some_and(Kept::holds)) || Arc::strong_count(self) > 1
    }
}

impl Kept {
    fn holds(&self) -> bool {
        Instant::now() < self.until
    }
}

impl Hooks {
    /// Whether it says which callers may come.
    pub(crate) fn decides_on_callers(&self) -> bool {
        let decides = |hooks: &HookSettings| hooks.callers;
        self.settings
            .now(|settings| settings.hooks.as_ref().is_some_and(decides))
    }

    /// What the hook says of a caller that the server itself would let through, and that shows `credentials`, which stand for
    /// all that tells one caller from another: what it may, `id` among it if it calls that. The caller is described with its
    /// secrets, or without.
    pub(crate) async fn authorize_caller(
        &self,
        credentials: Digest,
        id: Option<&ClientId>,
        caller: impl FnOnce(bool) -> ArrivingCaller,
    ) -> Result<Arc<Allowed>, NotAuthorized> {
        let terms = self.settings.now(|settings| settings.hooks.clone());
        let Some(terms) = terms.filter(|terms| terms.callers) else {
            return Ok(Arc::default());
        };
        let slot = self.answers.of(credentials);
        let allowed = match self.answer(&terms, &slot, caller).await {
            Ok(answer) => answer.verdict.map_err(NotAuthorized::Refused)?,
            Err(error) => self.failed(&terms, &error)?.into(),
        };
        match id {
            Some(id) if !allowed.has(id) => Err(NotAuthorized::OtherId(id.clone())),
            _ => Ok(allowed),
        }
    }

    async fn answer(
        &self,
        terms: &HookSettings,
        slot: &Slot,
        caller: impl FnOnce(bool) -> ArrivingCaller,
    ) -> Result<Answer, HookError> {
        let deadline = Instant::now() + terms.timeout;
        let ask = || {
            let who = Who::Caller(caller(terms.send_tokens));
            self.question(terms, &self.callers, who, deadline)
        };
        let is_for_each = || slot.is_for_each.load(Ordering::Relaxed);
        if !is_for_each() {
            let kept = timeout_at(deadline, slot.kept.lock()).await;
            let mut kept = kept.map_err(|_| HookError::Slow(terms.timeout))?;
            if let Some(kept) = kept.as_ref().filter(|kept| kept.holds()) {
                return Ok(kept.answer.clone());
            }
            // Those who waited for an answer that was not for them ask all at once.
            if !is_for_each() {
                let answer = ask().await?;
                slot.note(&answer);
                *kept = Some(Kept {
                    until: Instant::now() + answer.cache_for,
                    answer: answer.clone(),
                });
                return Ok(answer);
            }
        }
        let answer = ask().await?;
        slot.note(&answer);
        Ok(answer)
    }
}
