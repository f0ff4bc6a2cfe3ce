//! The course of a fault: it strikes, is noticed, and is got over.

use std::time::Duration;

use grpc_multiplexer_tests::{Process, metric};
use tokio::time::{Instant, interval, sleep};

use super::{Excuse, Fault, LIMIT, World};
use crate::baseline::is_direct;

/// What a fault that nobody announces may take until the server knows of it, 20 s, and until that is seen here.
pub(super) const DETECT: Duration = Duration::from_secs(22);

impl World {
    /// The fault happens now.
    pub(crate) fn strike(&mut self) {
        self.struck = Instant::now();
        self.healed = None;
    }

    /// It is over.
    pub(crate) fn heal(&mut self) {
        self.healed = Some(Instant::now());
    }

    /// From when on, and until when, the fault happened.
    pub(crate) fn fault(&self, victim: usize, excuse: Excuse) -> Fault {
        Fault {
            victim,
            struck: self.struck,
            healed: self.healed.unwrap_or_else(Instant::now),
            excuse,
        }
    }

    /// Lets so many seconds pass, with the load that is on.
    pub(crate) async fn pass(&self, seconds: u64) {
        sleep(Duration::from_secs(seconds)).await;
    }

    /// How often an edge said something.
    pub(crate) fn said(&self, edge: usize, part: &str) -> usize {
        let lines = self.edges.get(edge).map_or_else(Vec::new, Process::log);
        lines.iter().filter(|line| line.contains(part)).count()
    }

    /// Waits until the server has so many tunnels.
    pub(crate) async fn tunnels(&self, wanted: impl Fn(usize) -> bool) -> anyhow::Result<()> {
        let mut ticks = interval(Duration::from_millis(100));
        let start = Instant::now();
        loop {
            ticks.tick().await;
            let up = metric(self.mux.admin, "tunnels").await as usize;
            if wanted(up) {
                return Ok(());
            }
            if start.elapsed() > LIMIT {
                anyhow::bail!("{up} tunnels are up after {LIMIT:?}");
            }
        }
    }

    /// Waits until every edge is there, which is part of recovering.
    pub(crate) async fn all_up(&mut self) -> anyhow::Result<()> {
        let all = self.all();
        self.tunnels(|up| up >= all).await?;
        let took = self.healed.map(|healed| healed.elapsed());
        self.score.recover = self.score.recover.max(took);
        Ok(())
    }

    /// Waits until the server knows that it lost an edge: its tunnel is gone, or it is back with another. Where nothing is in
    /// between, nobody knows, and it takes as long as that may.
    pub(crate) async fn detected(&mut self, victim: usize) -> anyhow::Result<()> {
        if is_direct() {
            sleep(DETECT).await;
            return Ok(());
        }
        let connected = |world: &Self| world.said(victim, " connected client_id=");
        let (before, world) = (connected(self), &*self);
        let known = |up| up < world.all() || connected(world) > before;
        world.tunnels(known).await?;
        self.score.detect = Some(self.struck.elapsed());
        Ok(())
    }
}
