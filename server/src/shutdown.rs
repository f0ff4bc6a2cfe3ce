//! Going away, in an order in which no call is lost that could be finished.
//!
//! Health says so → no new edges → edges are told → no new connections → callers are told (GOAWAY) → calls finish, or
//! are cut at the deadline with a status that says why → caller connections close → lanes close → tunnels close. Tunnels
//! outlive calls.

use std::time::Duration;

use grpc_multiplexer_tunnel::message::Code;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::doors::Doors;
use crate::edge::listener::Edges;
use crate::proxy::listener::Callers;
use crate::services::Health;

/// What is left may take to say its last words: statuses of cut calls, goodbyes.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The stages, each a token.
#[derive(Debug, Default)]
pub(crate) struct Shutdown {
    /// Nothing new.
    pub(crate) drain: CancellationToken,
    /// Calls end now.
    pub(crate) cut: CancellationToken,
    /// Caller connections end now.
    pub(crate) close: CancellationToken,
    /// Tunnels end now.
    pub(crate) close_tunnels: CancellationToken,
}

impl Shutdown {
    /// Everything ends when the guards are dropped, whatever stage it is in.
    pub(crate) fn at_once_when_dropped(&self) -> [DropGuard; 3] {
        [&self.cut, &self.close, &self.close_tunnels].map(|stage| stage.clone().drop_guard())
    }

    /// Runs all stages.
    pub(crate) async fn run(
        &self,
        mut doors: Doors,
        edges: &Edges,
        callers: &Callers,
        health: &Health,
        drain_timeout: Duration,
    ) {
        let record = &callers.proxy.record;
        health.not_serving().await;
        let tunnels = edges.registry.edges().len();
        info!(calls = record.in_flight(), tunnels, "draining");
        // First, or an edge that comes again at once would find this server.
        doors.close_to_edges().await;
        edges.send_away();
        self.drain.cancel();
        doors.close().await;

        callers.calls.close();
        callers.connections.close();
        if timeout(drain_timeout, finished(callers)).await.is_err() {
            warn!(
                calls = record.in_flight(),
                "drain time is over, cutting calls"
            );
            self.cut.cancel();
            settled(&callers.calls).await;
            settled(&callers.connections).await;
        }
        self.close.cancel();
        settled(&callers.connections).await;

        let tunnels = edges.registry.edges();
        let lanes = futures::future::join_all(tunnels.iter().map(|edge| edge.lanes().close()));
        // What is left is counted at the end.
        let _ = timeout(LAST_WORDS, lanes).await;
        let streams: usize = tunnels
            .iter()
            .map(|edge| edge.session().open_streams())
            .sum();
        for edge in &tunnels {
            edge.session()
                .close(Code::ShuttingDown, "the server is shutting down");
        }
        edges.tasks.close();
        settled(&edges.tasks).await;
        info!(
            calls = record.in_flight(),
            streams,
            tunnels = edges.tasks.len(),
            "stopped"
        );
    }
}

/// Waits until every call is over, also those that callers began before they heard of it: a connection ends when its
/// caller confirmed the GOAWAY and its calls are over. A caller that has no call and confirms nothing is not waited for.
async fn finished(callers: &Callers) {
    loop {
        callers.calls.wait().await;
        settled(&callers.connections).await;
        if callers.calls.is_empty() {
            return;
        }
    }
}

/// Waits until the tasks are done, but not for ever.
async fn settled(tasks: &TaskTracker) {
    // What is left is said at the end.
    let _ = timeout(LAST_WORDS, tasks.wait()).await;
}
