//! Takes texts for tokens, or does not.

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::cache::Cache;
use super::issuer::KeySource;
use super::keeper::{Fetched, KeyFetches, Progress};
use super::keys::Keys;
use super::token::{is_jwt, signed_by};
use super::{Jwt, JwtDenied, JwtIssuer, Verified};
use crate::credential::Digest;
use crate::settings::{Live, Settings};

/// How long who shows a token may wait for keys: less than an edge waits for its answer.
const WAIT: Duration = Duration::from_secs(2);
/// The time of a token is looked at again so often: a clock that is set, or a machine that slept, moves its end.
const LOOK: Duration = Duration::from_secs(60);

/// What takes the tokens of edges, or those of callers.
#[derive(Debug)]
pub(crate) struct Verifier {
    /// Whose, for logs and metrics.
    pub(super) of: &'static str,
    pub(super) settings: Live,
    issuer: fn(&Settings) -> Option<&JwtIssuer>,
    /// The keys that were fetched last.
    pub(super) fetched: watch::Sender<Option<Fetched>>,
    pub(super) progress: watch::Sender<Progress>,
    /// Somebody shows a token whose key is not known.
    pub(super) wanted: Notify,
    pub(super) fetches: KeyFetches,
    cache: Cache,
}

impl Verifier {
    /// That of edges.
    pub(crate) fn of_edges(settings: Live, fetches: KeyFetches) -> Self {
        Self::new(
            "edges",
            settings,
            |settings| settings.edges.jwt_issuer(),
            fetches,
        )
    }

    /// That of callers.
    pub(crate) fn of_callers(settings: Live, fetches: KeyFetches) -> Self {
        Self::new(
            "callers",
            settings,
            |settings| settings.callers.as_ref()?.jwt_issuer(),
            fetches,
        )
    }

    fn new(
        of: &'static str,
        settings: Live,
        issuer: fn(&Settings) -> Option<&JwtIssuer>,
        fetches: KeyFetches,
    ) -> Self {
        Self {
            of,
            settings,
            issuer,
            fetched: watch::Sender::default(),
            progress: watch::Sender::default(),
            wanted: Notify::new(),
            fetches,
            cache: Cache::default(),
        }
    }

    /// Whom to believe, as settings have it.
    pub(super) fn issuer<'s>(&self, settings: &'s Settings) -> Option<&'s JwtIssuer> {
        (self.issuer)(settings)
    }

    /// What comes of a text with that SHA-256; `None` for one that is not meant as a token, and where there is no issuer. It
    /// may wait for keys, though not for long.
    pub(crate) async fn verify(&self, digest: Digest, text: &[u8]) -> Option<Jwt> {
        if !is_jwt(text) {
            return None;
        }
        let look = || {
            self.settings
                .now(|settings| Some(self.look(self.issuer(settings)?, digest, text)))
        };
        match look()? {
            Err(JwtDenied::UnknownKey | JwtDenied::NoKeys) if self.freshen().await => look(),
            jwt => Some(jwt),
        }
    }

    fn look(&self, issuer: &JwtIssuer, digest: Digest, text: &[u8]) -> Jwt {
        let keys = self.keys(issuer).ok_or(JwtDenied::NoKeys)?;
        if let Some(known) = self.cache.get(&digest) {
            match self.holds(issuer, &known) {
                Ok(()) => return Ok(known),
                Err(_) => self.cache.forget(&digest),
            }
        }
        let (claims, key) = signed_by(&keys, text)?;
        let end = claims.end(now())?;
        let verified = Arc::new(Verified { claims, key, end });
        issuer.is_of(&verified)?;
        self.cache.put(digest, Arc::clone(&verified));
        Ok(verified)
    }

    /// What comes now of a token that was looked at before, by other settings or at another time.
    pub(crate) fn again(&self, settings: &Settings, jwt: &Jwt) -> Jwt {
        let verified = jwt.as_ref().map_err(|denied| *denied)?;
        if let Some(issuer) = self.issuer(settings) {
            self.holds(issuer, verified)?;
        }
        Ok(Arc::clone(verified))
    }

    /// Sees that a token that was good still is. Where there are no keys just now, no key is gone.
    fn holds(&self, issuer: &JwtIssuer, verified: &Verified) -> Result<(), JwtDenied> {
        issuer.is_of(verified)?;
        if self
            .keys(issuer)
            .is_some_and(|keys| !keys.have(&verified.key))
        {
            return Err(JwtDenied::UnknownKey);
        }
        if verified.end <= now() {
            return Err(JwtDenied::Expired);
        }
        Ok(())
    }

    /// Waits until [`again`](Self::again) may find something else though no settings change. What is to be found by then is
    /// not waited for, so look *after* this was called.
    pub(crate) fn changes(&self, jwt: Option<&Jwt>) -> impl Future<Output = ()> + Send + use<> {
        let known = jwt.and_then(|jwt| jwt.as_ref().ok()).map(|verified| {
            let left = verified.end.saturating_sub(now());
            let look = (!left.is_zero()).then(|| Instant::now() + left.min(LOOK));
            (self.fetched.subscribe(), look)
        });
        async {
            let Some((mut fetched, look)) = known else {
                return pending().await;
            };
            let in_time = async {
                match look {
                    Some(look) => sleep_until(look).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                Ok(()) = fetched.changed() => {}
                () = in_time => {}
            }
        }
    }

    fn keys(&self, issuer: &JwtIssuer) -> Option<Arc<Keys>> {
        match &issuer.keys {
            KeySource::Here(keys) => Some(Arc::clone(keys)),
            KeySource::At(url) => {
                let fetched = self.fetched.borrow();
                let fetched = fetched.as_ref().filter(|fetched| fetched.from == *url);
                fetched.map(|fetched| Arc::clone(&fetched.keys))
            }
        }
    }

    /// Has keys fetched, unless they were just now. Whether there may be others.
    async fn freshen(&self) -> bool {
        if self
            .settings
            .now(|settings| self.issuer(settings)?.url().cloned())
            .is_none()
        {
            return false;
        }
        let mut progress = self.progress.subscribe();
        let Progress { attempts, rests } = *progress.borrow_and_update();
        if rests {
            return false;
        }
        self.wanted.notify_one();
        let attempted = progress.wait_for(|progress| progress.attempts != attempts);
        matches!(timeout(WAIT, attempted).await, Ok(Ok(_)))
    }
}

/// Since 1970.
fn now() -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default()
}

#[cfg(test)]
mod tests;
