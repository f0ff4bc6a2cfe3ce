//! Tells the hook of edges, again and again until it knows.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use grpc_multiplexer_tunnel::{Backoff, ClientId};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tracing::{error, info, warn};

use super::Hooks;
use super::failure::HookError;
use super::journal::{Journal, Left};
use super::outbox::Outbox;
use super::telling::Telling;
use crate::state_dir::{StateDir, StateError};

/// Ids that are told of at a time. More wait in the outbox, where what the hook heard nothing of can be dropped.
pub(super) const IDS: usize = 10_000;

/// How often it is looked whether another server, such as the one before an upgrade, left something.
const LOOK: Duration = Duration::from_secs(30);

impl Hooks {
    /// Tells of what is put into `outbox`, for ever; and writes that down, if there is a journal.
    pub(crate) async fn tell(self: Arc<Self>, outbox: Arc<Outbox>, journal: Option<Journal>) {
        let mut ids = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                Some(_) = ids.join_next() => {}
                id = outbox.next(), if ids.len() < IDS => {
                    let (hooks, outbox) = (Arc::clone(&self), Arc::clone(&outbox));
                    let journal = journal.clone();
                    ids.spawn(async move { hooks.tell_of(&id, &outbox, journal.as_ref()).await });
                }
            }
        }
    }

    /// Tells all that there is of one id.
    async fn tell_of(&self, id: &ClientId, outbox: &Outbox, journal: Option<&Journal>) {
        while let Some(event) = outbox.first(id) {
            let telling = Telling::of(&event, &self.asker.server_id);
            if let Some(journal) = journal {
                journal.will_be_told(&telling, &self.asker.json).await;
            }
            self.tell_until_known(&telling).await;
            if let Some(journal) = journal {
                journal.was_told(&telling).await;
            }
            outbox.told(id);
        }
    }

    /// Tells what servers left in `dir` that were killed, for ever.
    pub(crate) async fn tell_what_is_left(self: Arc<Self>, dir: StateDir) {
        let mut files = JoinSet::new();
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                Some(_) = files.join_next() => continue,
                _ = looks.tick() => {}
            }
            let (hooks, dir) = (Arc::clone(&self), dir.clone());
            let left = spawn_blocking(move || Left::all(&dir, &hooks.asker.json)).await;
            // A panic has said so itself.
            let Ok(left) = left else { continue };
            match left {
                Ok(left) => {
                    for left in left {
                        files.spawn(Arc::clone(&self).tell_left(left));
                    }
                }
                Err(error) => say_failed(&error),
            }
        }
    }

    /// Tells what one server left.
    async fn tell_left(self: Arc<Self>, mut left: Left) {
        let epochs = std::mem::take(&mut left.epochs);
        info!(
            epochs = epochs.len(),
            "the hook is told what a server left that was killed"
        );
        let events: usize = epochs.iter().map(Vec::len).sum();
        let waiting = &self.asker.metrics.waiting;
        waiting.inc_by(i64::try_from(events).unwrap_or(i64::MAX));
        stream::iter(epochs)
            .for_each_concurrent(IDS, async |epoch| {
                for telling in epoch {
                    self.tell_until_known(&telling).await;
                    waiting.dec();
                }
            })
            .await;
        // A panic has said so itself.
        if let Ok(Err(error)) = spawn_blocking(|| left.forget()).await {
            say_failed(&error);
        }
    }

    async fn tell_until_known(&self, telling: &Telling) {
        let mut backoff = Backoff::new();
        while let Err(error) = self.told(telling).await {
            if let Some(times) = self.asker.events.again(&error) {
                let (client_id, error): (_, &dyn Error) = (telling.client_id(), &error);
                warn!(%client_id, times, error, "the hook was not told of an edge; it will be");
            }
            let delay = backoff.next_delay(Instant::now(), &mut rand::rng());
            sleep(delay).await;
        }
    }

    async fn told(&self, telling: &Telling) -> Result<(), HookError> {
        let asker = &self.asker;
        let place = asker.events.places.acquire().await;
        let _place = place.expect("it is never closed");
        let Some(terms) = self.settings.now(|settings| settings.hooks.clone()) else {
            return Ok(());
        };
        let started = Instant::now();
        let deadline = started + terms.timeout;
        let told = match telling.clone() {
            Telling::Connected(it) => asker.ask(&terms, it, deadline).await.map(drop),
            Telling::Disconnected(it) => asker.ask(&terms, it, deadline).await.map(drop),
        };
        let result = if told.is_ok() { "told" } else { "failed" };
        asker
            .metrics
            .answered(telling.name(), result, started.elapsed());
        told
    }
}

fn say_failed(error: &StateError) {
    let error: &dyn Error = error;
    error!(
        error,
        "what a server left that the hook is to be told cannot be read or removed; it is tried again"
    );
}
