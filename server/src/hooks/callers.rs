//! What the hook says of callers.
//!
//! Calls are many, so that an answer may be kept: for as long as it says, for calls with the same credentials from the same
//! address. While such an answer may come, others with those credentials wait for it, whether the call that it was asked for
//! is still there or not, and do not ask as well; where answers are for one call, each call is asked for by itself. So is each
//! after a failure, which says nothing of another call.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use grpc_multiplexer_proto::hooks::v1::ArrivingCaller;
use grpc_multiplexer_proto::hooks::v1::authorize_request::Who;
use grpc_multiplexer_tunnel::ClientId;
use tokio::time::Instant;

use super::answer::{Allowed, Answer};
use super::asking::{Asking, Waiting};
use super::failure::NotAuthorized;
use super::place::Place;
use super::{HookSettings, Hooks};
use crate::credential::Digest;

/// Credentials whose answers are kept, at least the half of them that came last.
const MOST: usize = 10_000;
/// An answer with more ids is not kept: as many as there may be of them would be a gigabyte.
const IDS: usize = 100;

/// The answers for one caller's credentials.
#[derive(Debug, Default)]
struct Slot(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    kept: Option<Kept>,
    /// The question whose answer may be for all calls, and who is asked.
    asked: Option<(By, Asking)>,
    /// Whether what came last of a question was for one call.
    is_for_each: bool,
}

/// An answer that is for more than one call.
#[derive(Debug)]
struct Kept {
    answer: Answer,
    until: Instant,
    by: By,
}

/// Who gave an answer, or is to give one: every reload makes another of it. What is kept does not keep a connection.
type By = Weak<Place>;

fn is_now(by: &By, terms: &HookSettings) -> bool {
    std::ptr::eq(by.as_ptr(), Arc::as_ptr(&terms.place))
}

/// All that are kept.
#[derive(Debug, Default)]
pub(super) struct Answers(Mutex<Ages>);

/// Who shows itself again moves from the old to the young. When there are too many of these, they are the old ones.
#[derive(Debug, Default)]
struct Ages {
    young: HashMap<Digest, Arc<Slot>>,
    old: HashMap<Digest, Arc<Slot>>,
}

impl Answers {
    fn of(&self, credentials: Digest) -> Arc<Slot> {
        // A panic while the lock is held leaves a table that is still whole.
        let mut ages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = ages.young.get(&credentials) {
            return Arc::clone(slot);
        }
        let slot = ages.old.remove(&credentials).unwrap_or_default();
        let mut forgotten = HashMap::new();
        if ages.young.len() >= MOST / 2 {
            let young = mem::take(&mut ages.young);
            forgotten = mem::replace(&mut ages.old, young);
        }
        ages.young.insert(credentials, Arc::clone(&slot));
        // Everybody needs the lock, and to forget so many takes a while.
        drop(ages);
        drop(forgotten);
        slot
    }
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Known> {
        // A panic while the lock is held leaves what is known whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what came of a question.
    fn note(&self, answer: &Answer, by: By) {
        let mut known = self.lock();
        known.is_for_each = !is_for_many(answer);
        if !known.is_for_each {
            known.kept = Some(Kept {
                answer: answer.clone(),
                until: Instant::now() + answer.cache_for,
                by,
            });
        }
    }
}

impl Known {
    fn kept(&self, terms: &HookSettings) -> Option<&Answer> {
        let kept = self.kept.as_ref().filter(|kept| kept.holds(terms))?;
        Some(&kept.answer)
    }

    /// A question that is under way already, and whose answer may be for one more call.
    fn under_way(&self, terms: &HookSettings) -> Option<Waiting> {
        let (by, asking) = self.asked.as_ref().filter(|_| !self.is_for_each)?;
        is_now(by, terms).then(|| asking.join())?
    }
}

/// Whether an answer is for more than one call.
fn is_for_many(answer: &Answer) -> bool {
    !answer.cache_for.is_zero() && answer.ids() <= IDS
}

impl Kept {
    fn holds(&self, terms: &HookSettings) -> bool {
        Instant::now() < self.until && is_now(&self.by, terms)
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
        let answer = self.answer(terms, &slot, caller).await;
        let allowed = answer.verdict?;
        match id {
            Some(id) if !allowed.has(id) => Err(NotAuthorized::OtherId(id.clone())),
            _ => Ok(allowed),
        }
    }

    async fn answer(
        &self,
        terms: HookSettings,
        slot: &Arc<Slot>,
        caller: impl FnOnce(bool) -> ArrivingCaller,
    ) -> Answer {
        let own = loop {
            let anothers = {
                let mut known = slot.lock();
                if let Some(kept) = known.kept(&terms) {
                    return kept.clone();
                }
                match known.under_way(&terms) {
                    Some(waiting) => waiting,
                    None => {
                        // Whoever waited for an answer that was for another call has all of the time for its own.
                        let who = Who::Caller(caller(terms.send_tokens));
                        let (noted, by) = (Arc::clone(slot), Arc::downgrade(&terms.place));
                        let asked = By::clone(&by);
                        let note = move |answer: &Answer| noted.note(answer, by);
                        let (asking, waiting) = self.questions.put(&self.asker, terms, who, note);
                        if !known.is_for_each {
                            known.asked = Some((asked, asking));
                        }
                        break waiting;
                    }
                }
            };
            match anothers.answer().await {
                Some(answer) if is_for_many(&answer) => return answer,
                _ => {}
            }
        };
        own.answer().await.unwrap_or(Answer::without(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_again_is_remembered_and_nobody_else_for_long() {
        let answers = Answers::default();
        let slot = |name: &str| answers.of(Digest::of(name.as_bytes()));
        let (kept, left) = (slot("kept"), slot("left"));
        for number in 0..3 * MOST {
            slot(&number.to_string());
            assert!(Arc::ptr_eq(&kept, &slot("kept")), "after {number}");
        }
        assert!(!Arc::ptr_eq(&left, &slot("left")));
        let ages = answers.0.lock().unwrap();
        assert!(ages.young.len() + ages.old.len() <= MOST);
    }
}
