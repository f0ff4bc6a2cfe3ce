//! What a case comes to: how its calls went, and what is left behind.

use std::time::Duration;
use std::{fs, mem};

use grpc_multiplexer_tests::{Process, metric};
use tokio::time::{Instant, interval};

use super::course::DETECT;
use super::{Excuse, VICTIM, World};
use crate::baseline::is_direct;
use crate::score::Score;
use crate::verdict::{RECOVER, weigh};

/// What descriptors may take to be given back.
const SETTLE: Duration = Duration::from_secs(60);

impl World {
    /// Ends the load, and looks at how each call went and at what is left behind.
    pub(crate) async fn judge(mut self, excuse: Excuse) -> anyhow::Result<Score> {
        let fault = self.fault(VICTIM, excuse);
        let made = self.finish().await;
        let mut score = mem::take(&mut self.score);
        if is_direct() {
            // What cases ask for besides is asked of edges and servers.
            score.problems.clear();
        }
        weigh(&made, &mut score, |call, failure| {
            fault.judge(call, failure)
        });
        self.close(&mut score).await?;
        Ok(score)
    }

    /// Looks at what is left behind when no call is made any more.
    pub(crate) async fn close(&mut self, score: &mut Score) -> anyhow::Result<()> {
        for executions in [self.backend.executions()?, self.own.executions()?] {
            score.doubled += executions.values().filter(|times| **times > 1).count();
        }
        let late = score.detect.filter(|detect| *detect > DETECT);
        score.require(late.is_none(), || format!("detected after {late:?}"));
        let late = score.recover.filter(|recover| *recover > RECOVER);
        score.require(late.is_none(), || format!("recovered after {late:?}"));
        self.leaks(score).await?;
        let gone = self.gone.0.iter().map(|server| &**server);
        let others = gone.chain(&self.gone.1).chain(&self.edges);
        let others = others.chain(&self.others).map(|process| (process, 0));
        for (process, expected) in others.chain([(&*self.mux, self.panics)]) {
            let log = process.log();
            let panicked = log.iter().filter(|line| line.contains("panicked"));
            let panicked: Vec<_> = panicked.collect();
            score.require(panicked.len() == expected, || format!("{panicked:?}"));
        }
        Ok(())
    }

    /// Descriptors of each process that is to give them back.
    pub(super) fn open(&self) -> anyhow::Result<Vec<usize>> {
        // Where there are few edges, they keep their lanes a while.
        let edges = self
            .others
            .iter()
            .flat_map(|others| self.edges.iter().chain([others]));
        edges.chain([&*self.mux]).map(descriptors).collect()
    }

    /// Waits until nothing of the calls is left.
    async fn leaks(&self, score: &mut Score) -> anyhow::Result<()> {
        let start = Instant::now();
        let mut ticks = interval(Duration::from_millis(100));
        loop {
            ticks.tick().await;
            let open = self.open()?.into_iter().zip(&self.descriptors);
            let open = open.map(|(now, before)| now.saturating_sub(*before)).sum();
            let calls = metric(self.mux.admin, "calls_in_flight").await;
            if open == 0 && calls == 0.0 {
                return Ok(());
            }
            if start.elapsed() > SETTLE {
                score.leaks = open;
                score.require(calls == 0.0, || {
                    format!("{calls} calls are in flight for ever")
                });
                return Ok(());
            }
        }
    }
}

/// Open files and sockets of a process.
fn descriptors(process: &Process) -> anyhow::Result<usize> {
    Ok(fs::read_dir(format!("/proc/{}/fd", process.pid()))?.count())
}
