//! Calls beside the load.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use tokio::time::{Instant, interval, timeout};
use tonic::transport::Channel;

use super::{LIMIT, World};
use crate::calls::Kind;
use crate::load::{Load, Made, lazily};
use crate::verdict::RECOVER;

impl World {
    /// Makes a call beside the load; whether it went well. It counts as the others do.
    pub(crate) async fn one(&self, edge: usize, kind: Kind) -> bool {
        self.over(self.channel(edge), edge, kind).await
    }

    /// The same over a connection that is there.
    pub(crate) async fn over(&self, channel: Channel, edge: usize, kind: Kind) -> bool {
        self.load().one(channel, edge, kind).await
    }

    /// An edge can be called again, soon.
    pub(crate) async fn answers(&mut self, edge: usize) {
        let mut ticks = interval(Duration::from_millis(100));
        let again = async {
            while !self.one(edge, Kind::Unary).await {
                ticks.tick().await;
            }
        };
        let answers = timeout(RECOVER, again).await.is_ok();
        self.score
            .require(answers, || format!("edge-{edge} cannot be called"));
    }

    /// Begins so many calls at once beside the load; gives their tokens.
    pub(crate) fn many(&mut self, edge: usize, kind: Kind, count: usize) -> Vec<u64> {
        let way = Arc::clone(&self.way);
        let load = self.load.as_mut().expect("the case is under way");
        load.many(&way, edge, kind, count)
    }

    /// The same, and waits until the edge's backend has each of them, or it ended before.
    pub(crate) async fn under_way(
        &mut self,
        edge: usize,
        kind: Kind,
        count: usize,
    ) -> anyhow::Result<()> {
        let tokens = self.many(edge, kind, count);
        let mut ticks = interval(Duration::from_millis(50));
        let start = Instant::now();
        loop {
            ticks.tick().await;
            let executed = self.backend_of(edge).executions()?;
            let load = self.load();
            let arrived = |token: &u64| executed.contains_key(token) || load.has_ended(*token);
            if tokens.iter().all(arrived) {
                return Ok(());
            }
            ensure!(
                start.elapsed() < LIMIT,
                "no {count} calls arrive at the backend of edge-{edge}"
            );
        }
    }

    /// A connection, which is made when it is first used.
    pub(crate) fn channel(&self, edge: usize) -> Channel {
        lazily(&(self.way)(edge))
    }

    /// Waits until no call is under way, and says how many went well.
    pub(crate) async fn well(&mut self) -> usize {
        self.load
            .as_mut()
            .expect("the case is under way")
            .well()
            .await
    }

    /// The calls that ended since the last time.
    pub(crate) fn so_far(&self) -> Vec<Made> {
        self.load().so_far()
    }

    /// Ends the load; gives its calls.
    pub(crate) async fn finish(&mut self) -> Vec<Made> {
        match self.load.take() {
            Some(load) => load.finish().await,
            None => Vec::new(),
        }
    }

    fn load(&self) -> &Load {
        self.load.as_ref().expect("the case is under way")
    }
}
