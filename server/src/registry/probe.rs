//! Whether those that have an id still live: asked before a newcomer is refused, so that an edge whose tunnel died
//! unnoticed is not locked out by what is left of it.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{FutureExt as _, Shared, WeakShared};
use futures::stream::{FuturesUnordered, StreamExt as _};
use grpc_multiplexer_tunnel::ClientId;

use super::{Generation, Registry, Sessions};

/// What a sign of life may take. An edge that does not know yet what a server speaks hangs up on one that leaves its
/// hello unanswered for 3 s, and speaks the original's wire then: it must have its answer before.
const LIMIT: Duration = Duration::from_secs(2);
/// Newcomers that may wait for one answer.
const WAITING: usize = 16;

/// The generations that were asked, if none gave a sign of life.
type Silent = Option<Arc<[Generation]>>;
type Asking = Pin<Box<dyn Future<Output = Silent> + Send>>;

/// The question that is under way, if any: its owners are those who wait for the answer.
#[derive(Debug, Default)]
pub(super) struct Probe(Option<WeakShared<Asking>>);

impl Probe {
    /// Joins those who wait, or asks anew. `None` when too many wait.
    fn join(&mut self, sessions: &Arc<Sessions>) -> Option<Shared<Asking>> {
        let under_way = self.0.as_ref().and_then(WeakShared::upgrade);
        if let Some(under_way) = under_way.filter(|asking| asking.peek().is_none()) {
            return (under_way.strong_count() <= Some(WAITING)).then_some(under_way);
        }
        let asking: Asking = Box::pin(ask(Arc::clone(sessions)));
        let asking = asking.shared();
        self.0 = asking.downgrade();
        Some(asking)
    }
}

async fn ask(sessions: Arc<Sessions>) -> Silent {
    let probe = sessions.iter().map(|edge| edge.session().probe(LIMIT));
    let answers: FuturesUnordered<_> = probe.collect();
    let lives = answers.any(ready).await;
    (!lives).then(|| sessions.iter().map(|edge| edge.generation()).collect())
}

impl Registry {
    /// Asks whoever has `id` for a sign of life. The generations that have it, if none gives one; `None` if one does, or
    /// too many newcomers wait for the answer already.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub(crate) async fn probe(&self, id: &ClientId) -> Silent {
        let asking = match self.write().ids.get_mut(id) {
            Some(entry) => entry.probe.join(&entry.sessions)?,
            None => return Some(Arc::default()),
        };
        asking.await
    }
}
