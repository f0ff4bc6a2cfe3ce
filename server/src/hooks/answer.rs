//! What of a hook's answer counts.

use std::sync::Arc;
use std::time::Duration;

use grpc_multiplexer_proto::hooks::v1::AuthorizeResponse;
use grpc_multiplexer_tunnel::ClientId;

use super::context::{Context, WrongContext};
use super::failure::{NotAuthorized, line};
use crate::credential::Grant;

/// Ids in one answer.
const IDS: usize = 1000;
/// An answer holds no longer.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// What a hook says.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// A yes, or why not.
    pub(super) verdict: Result<Arc<Allowed>, NotAuthorized>,
    /// For how long that holds.
    pub(super) cache_for: Duration,
}

/// What somebody may who was let in, and what is to be known of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Allowed {
    /// Empty for all.
    ids: Vec<Grant>,
    context: Context,
}

/// Why an answer is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum WrongAnswer {
    #[error(
        "its answer has {0:?} among client_ids, which is no client id, and not the beginning of one with * behind it"
    )]
    Id(String),
    #[error("its answer has {0} client_ids; it may have up to {IDS}")]
    Ids(usize),
    #[error("its answer has a cache_for that cannot be; it may be 0 to 1h")]
    CacheFor,
    #[error(transparent)]
    Context(WrongContext),
}

impl Answer {
    /// How many ids it has.
    pub(super) fn ids(&self) -> usize {
        let allowed = self.verdict.as_ref();
        allowed.map_or(0, |allowed| allowed.ids.len())
    }

    /// A no is one whatever else is wrong with it. Only what can be is kept.
    pub(super) fn read(
        response: AuthorizeResponse,
        prefix: &'static str,
    ) -> Result<Self, WrongAnswer> {
        let cache_for = Duration::try_from(response.cache_for.unwrap_or_default()).ok();
        let cache_for = cache_for.filter(|time| *time <= LONGEST);
        if !response.allow {
            return Ok(Self {
                verdict: Err(NotAuthorized::Refused(reason(&response.reason))),
                cache_for: cache_for.unwrap_or_default(),
            });
        }
        let cache_for = cache_for.ok_or(WrongAnswer::CacheFor)?;
        let verdict = Ok(Arc::new(Allowed::read(response, prefix)?));
        Ok(Self { verdict, cache_for })
    }

    /// What comes of a failure, for one alone: a yes without any bound, or a no for now.
    pub(super) fn without(is_let_in: bool) -> Self {
        Self {
            verdict: match is_let_in {
                true => Ok(Arc::default()),
                false => Err(NotAuthorized::Failed),
            },
            cache_for: Duration::ZERO,
        }
    }
}

fn reason(said: &str) -> String {
    match line(said) {
        nothing if nothing.is_empty() => "no reason given".to_owned(),
        reason => reason,
    }
}

impl Allowed {
    fn read(response: AuthorizeResponse, prefix: &'static str) -> Result<Self, WrongAnswer> {
        let ids = response.client_ids;
        if ids.len() > IDS {
            return Err(WrongAnswer::Ids(ids.len()));
        }
        let ids = ids
            .iter()
            .map(|id| Grant::parse(id).map_err(|_| WrongAnswer::Id(line(id))));
        let ids = ids.collect::<Result<_, _>>()?;
        let context = Context::read(prefix, response.context).map_err(WrongAnswer::Context)?;
        Ok(Self { ids, context })
    }

    /// What is to be known of it.
    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// Whether it may have some ids only.
    pub(crate) fn is_bound(&self) -> bool {
        !self.ids.is_empty()
    }

    /// Whether `id` is among what it may have.
    pub(crate) fn has(&self, id: &ClientId) -> bool {
        self.ids.is_empty() || self.ids.iter().any(|ids| ids.has(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(response: AuthorizeResponse) -> Result<Answer, WrongAnswer> {
        Answer::read(response, "x-")
    }

    fn yes() -> AuthorizeResponse {
        AuthorizeResponse {
            allow: true,
            ..AuthorizeResponse::default()
        }
    }

    fn allowed(response: AuthorizeResponse) -> Arc<Allowed> {
        read(response).unwrap().verdict.unwrap()
    }

    /// Who answers nothing, or says no in the middle of something else, said no.
    #[test]
    fn only_a_yes_is_one() {
        let wrong_no = AuthorizeResponse {
            reason: " not\nyou ".to_owned(),
            client_ids: vec!["a b".to_owned()],
            context: [("A".to_owned(), String::new())].into(),
            cache_for: Some(prost_types::Duration {
                seconds: 86_400,
                nanos: 0,
            }),
            ..AuthorizeResponse::default()
        };
        for (response, reason) in [
            (AuthorizeResponse::default(), "no reason given"),
            (wrong_no, "not you"),
        ] {
            let answer = read(response).unwrap();
            let refused = NotAuthorized::Refused(reason.to_owned());
            assert_eq!(answer.verdict.unwrap_err(), refused);
            assert_eq!(answer.cache_for, Duration::ZERO);
        }
    }

    #[test]
    fn an_answer_that_cannot_be_is_none() {
        let with = |change: &dyn Fn(&mut AuthorizeResponse)| {
            let mut response = yes();
            change(&mut response);
            read(response).unwrap_err()
        };
        let id = with(&|it| it.client_ids = vec!["a b".to_owned()]);
        assert_eq!(id, WrongAnswer::Id("a b".to_owned()));
        let many = with(&|it| it.client_ids = vec!["a".to_owned(); 1001]);
        assert_eq!(many, WrongAnswer::Ids(1001));
        for (seconds, nanos) in [(-1, 0), (3600, 1), (i64::MAX, 0)] {
            let time = prost_types::Duration { seconds, nanos };
            assert_eq!(with(&|it| it.cache_for = Some(time)), WrongAnswer::CacheFor);
        }
        let context = with(&|it| drop(it.context.insert("A".to_owned(), String::new())));
        assert!(matches!(context, WrongAnswer::Context(_)));
    }

    #[test]
    fn ids_bound_what_it_may_have_and_none_are_no_bound() {
        let id = |id: &str| id.parse::<ClientId>().unwrap();
        let ids = ["rainbow", "kitchen-*"].map(str::to_owned).to_vec();
        let bound = allowed(AuthorizeResponse {
            client_ids: ids,
            ..yes()
        });
        assert!(bound.has(&id("rainbow")) && bound.has(&id("kitchen-2")));
        assert!(!bound.has(&id("rainbow-2")) && !bound.has(&id("kitchen")));
        assert!(allowed(yes()).has(&id("rainbow")));
    }
}
