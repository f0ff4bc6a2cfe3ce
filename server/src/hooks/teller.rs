//! Tells the hook of edges, again and again until it knows.

use std::sync::Arc;

use grpc_multiplexer_proto::hooks::v1::{ConnectedRequest, DisconnectedRequest};
use grpc_multiplexer_tunnel::{Backoff, ClientId};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use super::failure::HookError;
use super::outbox::{Event, Outbox, What};
use super::{HookSettings, Hooks};

/// Ids that are told of at a time. More wait in the outbox, where what the hook heard nothing of can be dropped.
pub(super) const IDS: usize = 10_000;

impl Hooks {
    /// Tells of what is put into `outbox`, for ever.
    pub(crate) async fn tell(self: Arc<Self>, outbox: Arc<Outbox>) {
        let mut ids = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                Some(_) = ids.join_next() => {}
                id = outbox.next(), if ids.len() < IDS => {
                    let (hooks, outbox) = (Arc::clone(&self), Arc::clone(&outbox));
                    ids.spawn(async move { hooks.tell_of(&id, &outbox).await });
                }
            }
        }
    }

    /// Tells all that there is of one id.
    async fn tell_of(&self, id: &ClientId, outbox: &Outbox) {
        while let Some(event) = outbox.first(id) {
            let mut backoff = Backoff::new();
            while let Err(error) = self.told(&event).await {
                if let Some(times) = self.again("event", &error) {
                    let error: &dyn std::error::Error = &error;
                    warn!(client_id = %id, times, error, "the hook was not told of an edge; it will be");
                }
                let delay = backoff.next_delay(Instant::now(), &mut rand::rng());
                sleep(delay).await;
            }
            outbox.told(id);
        }
    }

    async fn told(&self, event: &Event) -> Result<(), HookError> {
        let _place = self.events.acquire().await.expect("it is never closed");
        let Some(terms) = self.settings.now(|settings| settings.hooks.clone()) else {
            return Ok(());
        };
        let started = Instant::now();
        let told = timeout(terms.timeout, self.put(&terms, event)).await;
        let told = told.unwrap_or(Err(HookError::Slow(terms.timeout)));
        let hook = match event.what {
            What::Connected { .. } => "connected",
            What::Disconnected(_) => "disconnected",
        };
        let result = if told.is_ok() { "told" } else { "failed" };
        self.metrics.answered(hook, result, started.elapsed());
        told
    }

    async fn put(&self, terms: &HookSettings, event: &Event) -> Result<(), HookError> {
        let server_id = self.server_id.clone();
        let epoch = format!("{server_id}-{}", event.epoch);
        let client_id = event.client_id.to_string();
        let time = Some(event.time.into());
        match &event.what {
            What::Connected {
                remote,
                version,
                context,
            } => {
                let connected = ConnectedRequest {
                    server_id,
                    epoch,
                    client_id,
                    time,
                    remote_address: remote.to_string(),
                    version: version.clone(),
                    context: context.shown(),
                };
                self.ask(terms, connected).await.map(drop)
            }
            What::Disconnected(reason) => {
                let disconnected = DisconnectedRequest {
                    server_id,
                    epoch,
                    client_id,
                    time,
                    reason: reason.as_deref().unwrap_or_default().to_owned(),
                };
                self.ask(terms, disconnected).await.map(drop)
            }
        }
    }
}
