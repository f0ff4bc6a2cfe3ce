//! The threads that connections are served on.
//!
//! Each has a runtime of its own, and what begins on one stays there. Nothing is taken over by another thread that is idle, so
//! a task that has something for another finds it on its own thread nearly always: nobody is woken for it, tasks run in the
//! order in which they got something to do, and what many of them write leaves in one system call.

use std::io;
use std::sync::Arc;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Threads that tasks can be started on. They end when the last copy of this is dropped, and their tasks with them.
///
/// By default there are none, and what would be started on one stays on the runtime that it came from.
#[derive(Debug, Clone, Default)]
pub struct Threads {
    handles: Arc<[Handle]>,
    _stop: Option<Arc<DropGuard>>,
}

impl Threads {
    /// Starts so many.
    ///
    /// # Errors
    ///
    /// When the system gives no thread or no runtime.
    pub fn start(count: usize) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let start = |n| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let handle = runtime.handle().clone();
            let stop = stop.clone();
            let thread = thread::Builder::new().name(format!("worker-{n}"));
            thread.spawn(move || runtime.block_on(stop.cancelled()))?;
            Ok(handle)
        };
        let handles = (0..count).map(start).collect::<io::Result<_>>()?;
        Ok(Self {
            handles,
            _stop: Some(Arc::new(stop.drop_guard())),
        })
    }

    /// The one with the fewest tasks.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, where there are none.
    #[must_use]
    pub fn least_busy(&self) -> Handle {
        let tasks = |thread: &&Handle| thread.metrics().num_alive_tasks();
        let least = self.handles.iter().min_by_key(tasks);
        least.cloned().unwrap_or_else(Handle::current)
    }

    /// All of them.
    pub(crate) fn handles(&self) -> &[Handle] {
        &self.handles
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    async fn name_of(thread: &Handle) -> Option<String> {
        let name = thread.spawn(async { thread::current().name().map(str::to_owned) });
        name.await.unwrap()
    }

    #[tokio::test]
    async fn tasks_are_spread_over_threads() {
        let threads = Threads::start(3).unwrap();
        let mut tasks = BTreeMap::new();
        let end = CancellationToken::new();
        for _ in 0..9 {
            let thread = threads.least_busy();
            thread.spawn(end.clone().cancelled_owned());
            *tasks.entry(thread.id().to_string()).or_insert(0) += 1;
        }
        assert_eq!(tasks.into_values().collect::<Vec<_>>(), [3, 3, 3]);
        assert_eq!(
            name_of(&threads.handles()[2]).await.as_deref(),
            Some("worker-2")
        );
    }

    #[tokio::test]
    async fn they_end_with_the_last_copy_and_so_do_their_tasks() {
        let threads = Threads::start(1).unwrap();
        let copy = threads.clone();
        let task = threads.least_busy().spawn(std::future::pending::<()>());
        drop(threads);
        assert!(name_of(&copy.least_busy()).await.is_some());
        drop(copy);
        assert!(task.await.unwrap_err().is_cancelled());
    }

    #[tokio::test]
    async fn where_there_are_none_everything_stays() {
        let here = Handle::current().id();
        assert_eq!(Threads::default().least_busy().id(), here);
    }
}
