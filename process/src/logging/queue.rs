//! Lines of the log on their way to stderr, which a thread of its own writes.
//!
//! Whoever has something to say puts it here and goes on. So a stderr that takes nothing, because its reader stopped or its
//! disk is full, holds up one thread that nobody waits for. Lines that find no room then are dropped and counted, all from
//! the first one on until the thread comes for more, and it says how many are missing just where they are. What it began
//! to write it finishes once stderr takes it, so that lines are whole whatever happens.

use std::io::{self, ErrorKind, Write};
use std::mem;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

/// Bytes that may wait, and as many again may be with the thread. A second of debug lines at some thousand calls a second.
const ROOM: usize = 1 << 20;
/// Pause after a write that failed: a disk that is full may have room later.
const PAUSE: Duration = Duration::from_millis(250);
/// The same where somebody made stderr non-blocking and its reader is only slow.
const SLOW: Duration = Duration::from_millis(5);
/// A reader that takes nothing for so long has stopped, and no end of a process waits for it any longer.
const STOPPED: Duration = Duration::from_secs(1);
/// How many of these an end waits at most, for a reader that takes something in each.
const PATIENCE: usize = 4;

/// What waits to be written.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Wakes the thread.
    more: Condvar,
    /// Wakes whoever waits for the thread's end.
    ended: Condvar,
    /// Writes that took something, so that a slow reader can be told from one that stopped.
    writes: AtomicUsize,
    /// Lines dropped in the life of the process.
    dropped: Counter,
}

#[derive(Debug, Default)]
struct State {
    /// Whole lines, one after the other.
    lines: Vec<u8>,
    /// How many were dropped since these.
    dropped: u64,
    /// The process is about to end.
    ending: bool,
    /// The thread came to its end.
    ended: bool,
}

impl State {
    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.dropped == 0
    }
}

impl Queue {
    /// Writes what comes to `out`, and where lines are missing what `gap` makes of their number, until the guard goes.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub(super) fn written_to(
        self: &Arc<Self>,
        out: impl Write + Send + 'static,
        gap: impl Fn(u64) -> Vec<u8> + Send + 'static,
    ) -> io::Result<Written> {
        let queue = Arc::clone(self);
        let mut writer = Writer { queue, out, gap };
        let thread = thread::Builder::new().name("log".to_owned());
        thread.spawn(move || writer.run())?;
        Ok(Written(Arc::clone(self)))
    }

    /// Counts the lines that are dropped.
    pub(super) fn dropped(&self) -> Counter {
        self.dropped.clone()
    }

    /// What waits, and how many lines are missing behind it.
    pub(super) fn take(&self) -> (Vec<u8>, u64) {
        let mut state = self.lock();
        (mem::take(&mut state.lines), mem::take(&mut state.dropped))
    }

    /// The same once there is something; `None` once there is nothing and the process is about to end.
    fn next(&self) -> Option<(Vec<u8>, u64)> {
        let idle = |state: &mut State| state.is_empty() && !state.ending;
        let state = self.more.wait_while(self.lock(), idle);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        (!state.is_empty()).then(|| (mem::take(&mut state.lines), mem::take(&mut state.dropped)))
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        let idle = state.is_empty();
        if state.dropped > 0 || line.len() > ROOM - state.lines.len() {
            state.dropped += 1;
            self.dropped.inc();
        } else {
            state.lines.extend_from_slice(line);
        }
        if idle {
            self.more.notify_one();
        }
    }

    /// After a write that failed. Breaks when the process is about to end.
    fn pause(&self) -> ControlFlow<()> {
        let on = |state: &mut State| !state.ending;
        let waited = self.more.wait_timeout_while(self.lock(), PAUSE, on);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.ending {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the formatter writes at once is one line.
impl Write for &Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps lines being written. Dropped, it waits until all are, unless their reader stopped.
#[derive(Debug)]
pub(crate) struct Written(Arc<Queue>);

impl Drop for Written {
    fn drop(&mut self) {
        let queue = &self.0;
        queue.lock().ending = true;
        queue.more.notify_one();
        for _ in 0..PATIENCE {
            let writes = queue.writes.load(Ordering::Relaxed);
            let under_way = |state: &mut State| !state.ended;
            let waited = queue
                .ended
                .wait_timeout_while(queue.lock(), STOPPED, under_way);
            let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if state.ended || queue.writes.load(Ordering::Relaxed) == writes {
                return;
            }
        }
    }
}

/// What the thread does.
struct Writer<W, G> {
    queue: Arc<Queue>,
    out: W,
    gap: G,
}

impl<W: Write, G: Fn(u64) -> Vec<u8>> Writer<W, G> {
    fn run(&mut self) {
        while let Some((lines, dropped)) = self.queue.next()
            && self.write_all(&lines, dropped).is_continue()
        {}
        self.queue.lock().ended = true;
        self.queue.ended.notify_one();
    }

    fn write_all(&mut self, lines: &[u8], dropped: u64) -> ControlFlow<()> {
        // One by one: others may write to the same pipe, and what a pipe takes in one write is not torn by theirs.
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            self.write(line)?;
        }
        if dropped > 0 {
            self.write(&(self.gap)(dropped))?;
        }
        ControlFlow::Continue(())
    }

    /// Writes a line whole, however long that takes. Breaks when the process is about to end and nobody takes it.
    fn write(&mut self, mut line: &[u8]) -> ControlFlow<()> {
        while !line.is_empty() {
            match self.out.write(line) {
                Ok(written) if written > 0 => {
                    line = &line[written..];
                    self.queue.writes.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(SLOW),
                _ => self.queue.pause()?,
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests;
