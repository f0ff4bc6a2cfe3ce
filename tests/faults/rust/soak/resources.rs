//! Memory and descriptors of processes that are to need no more the longer they run.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use grpc_multiplexer_tests::Process;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

/// Between two samples.
const EVERY: Duration = Duration::from_secs(10);

/// What a process has at a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// Seconds since the beginning.
    pub(super) at: f64,
    pub(super) kibibytes: u64,
    pub(super) descriptors: usize,
}

/// Looks at a process all the time, and at the one that takes its place.
#[derive(Debug)]
pub(super) struct Watch {
    process: Arc<Mutex<u32>>,
    samples: Arc<Mutex<Vec<Sample>>>,
    _task: JoinSet<()>,
}

impl Watch {
    pub(super) fn on(process: &Process, since: Instant) -> Self {
        let process = Arc::new(Mutex::new(process.pid()));
        let samples = Arc::<Mutex<Vec<Sample>>>::default();
        let mut task = JoinSet::new();
        let (now, all) = (Arc::clone(&process), Arc::clone(&samples));
        task.spawn(async move {
            let mut ticks = interval(EVERY);
            loop {
                ticks.tick().await;
                let pid = *now.lock().unwrap();
                // Between its death and the next, there is none.
                if let Some(sample) = sample(pid, since) {
                    all.lock().unwrap().push(sample);
                }
            }
        });
        Self {
            process,
            samples,
            _task: task,
        }
    }

    pub(super) fn now_on(&self, process: &Process) {
        *self.process.lock().unwrap() = process.pid();
    }

    pub(super) fn samples(&self) -> Vec<Sample> {
        self.samples.lock().unwrap().clone()
    }

    pub(super) fn last(&self) -> Option<Sample> {
        self.samples.lock().unwrap().last().copied()
    }
}

fn sample(pid: u32, since: Instant) -> Option<Sample> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    Some(Sample {
        at: since.elapsed().as_secs_f64(),
        kibibytes: line.split_whitespace().nth(1)?.parse().ok()?,
        descriptors: fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count(),
    })
}

impl Sample {
    pub(super) fn json(&self) -> Value {
        json!([self.at.round(), self.kibibytes, self.descriptors])
    }
}
