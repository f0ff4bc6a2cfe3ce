//! Keeps the keys of a URL fresh.
//!
//! They are fetched at the start, every [`REFRESH`], and when a token is signed by one that is not known, though not sooner
//! than [`REST`] after the last time: whoever makes up tokens makes no more requests than that. What cannot be fetched is
//! tried again and again, and the keys that were good stay in force.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::Verifier;
use super::fetch::{FetchError, fetch};
use super::keys::{Keys, WrongKeys};
use crate::url::Url;

/// How old keys may get.
const REFRESH: Duration = Duration::from_secs(5 * 60);
/// After keys came, nobody has them fetched again for so long.
const REST: Duration = Duration::from_secs(10);
/// After the first failure; twice as long after each further one.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// And no longer than that.
const RETRY_MOST: Duration = Duration::from_secs(60);

/// Keys, and from where they are.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) from: Url,
    pub(super) keys: Arc<Keys>,
}

/// How far the fetching is, for those who wait for keys.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Progress {
    /// Those that came to an end.
    pub(super) attempts: u64,
    /// Whether nothing is fetched just now, whoever asks for it.
    pub(super) rests: bool,
}

/// How often keys were fetched, by whose they are and what came of it.
pub(crate) type KeyFetches = Family<KeyFetch, Counter>;

/// The labels of a fetch.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct KeyFetch {
    of: &'static str,
    result: &'static str,
}

impl Verifier {
    /// Fetches the keys of the URL in force, whenever it is time, and whatever URL that is.
    pub(crate) async fn keep(self: Arc<Self>) {
        let mut failures = 0;
        loop {
            let url = self
                .settings
                .until(|settings| self.issuer(settings)?.url().cloned());
            let url = url.await;
            let fetched = fetch(&url).await;
            failures = if fetched.is_ok() { 0 } else { failures + 1 };
            self.take(&url, fetched);
            let another = self.settings.until(|settings| {
                let now = self.issuer(settings).and_then(|issuer| issuer.url());
                (now != Some(&url)).then_some(())
            });
            tokio::select! {
                biased;
                () = self.rest(failures) => {}
                () = another => failures = 0,
            }
            self.progress.send_modify(|progress| progress.rests = false);
        }
    }

    fn take(&self, url: &Url, fetched: Result<(Keys, Vec<WrongKeys>), FetchError>) {
        let of = self.of;
        let result = if fetched.is_ok() { "ok" } else { "failed" };
        self.fetches.get_or_create(&KeyFetch { of, result }).inc();
        match fetched {
            Ok((keys, unusable)) => self.put_in_force(url, keys, &unusable),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                warn!(of, %url, error, "keys of JWTs not fetched; those that were fetched before stay");
            }
        }
        self.progress.send_modify(|progress| {
            progress.attempts += 1;
            progress.rests = true;
        });
    }

    /// Whoever holds a token is told only of other keys than before.
    fn put_in_force(&self, url: &Url, keys: Keys, unusable: &[WrongKeys]) {
        let count = keys.len();
        let is_other = self.fetched.send_if_modified(|fetched| {
            let is_known = |known: &Fetched| known.from == *url && *known.keys == keys;
            if fetched.as_ref().is_some_and(is_known) {
                return false;
            }
            *fetched = Some(Fetched {
                from: url.clone(),
                keys: Arc::new(keys),
            });
            true
        });
        if is_other {
            info!(of = self.of, %url, keys = count, "keys of JWTs fetched");
            for error in unusable {
                warn!(of = self.of, %url, error = error as &dyn std::error::Error, "a key of JWTs was left out");
            }
        }
    }

    /// Waits until it is time again.
    async fn rest(&self, failures: u32) {
        if failures > 0 {
            let doubled = RETRY_FIRST.saturating_mul(1 << (failures - 1).min(16));
            return sleep(doubled.min(RETRY_MOST)).await;
        }
        sleep(REST).await;
        // Whoever asked before has what came since.
        let _ = self.wanted.notified().now_or_never();
        self.progress.send_modify(|progress| progress.rests = false);
        // Whichever comes first.
        let _ = timeout(REFRESH - REST, self.wanted.notified()).await;
    }
}
