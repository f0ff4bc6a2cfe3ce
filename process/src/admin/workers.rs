//! Whether the threads that run tasks get on with their work.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::Threads;

/// How long a thread may take to run one empty task before it counts as dead: tasks give way again within milliseconds.
const PULSE: Duration = Duration::from_secs(5);

/// The threads that run tasks, seen from outside of them.
#[derive(Debug)]
pub(super) struct Workers(Vec<Handle>);

impl Workers {
    /// That of a runtime, and others.
    pub(super) fn of(runtime: Handle, threads: &Threads) -> Self {
        let mut all = vec![runtime];
        all.extend_from_slice(threads.handles());
        Self(all)
    }

    /// Why one of them does no work.
    pub(super) async fn dead(&self) -> Option<String> {
        let pulse = |runtime: &Handle| runtime.spawn(async {});
        let pulses: Vec<_> = self.0.iter().map(pulse).collect();
        let all = async {
            for pulse in pulses {
                // It fails only with its runtime.
                let _ = pulse.await;
            }
        };
        let late = timeout(PULSE, all).await.is_err();
        late.then(|| format!("a thread ran no task for {PULSE:?}"))
    }
}
