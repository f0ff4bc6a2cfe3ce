//! Counts the calls that were given up before they ended.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

/// How many calls are remembered by their text.
const REMEMBERED: usize = 1024;

/// The calls given up so far.
#[derive(Debug, Default)]
pub(crate) struct Cancels {
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    total: u64,
    texts: VecDeque<String>,
}

impl Cancels {
    /// A call has begun. It counts as given up unless [`OpenCall::end`] is called before the drop.
    pub(crate) fn begin(self: &Arc<Self>) -> OpenCall {
        OpenCall {
            cancels: Arc::clone(self),
            text: String::new(),
            ended: false,
        }
    }

    /// All calls given up, or with a text, those remembered whose latest message had it.
    pub(crate) fn count(&self, text: &str) -> u64 {
        let log = self.lock();
        if text.is_empty() {
            return log.total;
        }
        log.texts.iter().map(|it| u64::from(it == text)).sum()
    }

    fn record(&self, text: String) {
        let mut log = self.lock();
        log.total += 1;
        if log.texts.len() == REMEMBERED {
            log.texts.pop_front();
        }
        log.texts.push_back(text);
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().expect("nothing panics under this lock")
    }
}

/// A call in progress. tonic drops it with the handler or the response stream when the caller is gone.
#[derive(Debug)]
pub(crate) struct OpenCall {
    cancels: Arc<Cancels>,
    text: String,
    ended: bool,
}

impl OpenCall {
    /// Names the call after its latest message.
    pub(crate) fn name(&mut self, text: &str) {
        text.clone_into(&mut self.text);
    }

    /// The call ended by itself.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        if !self.ended {
            self.cancels.record(std::mem::take(&mut self.text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_calls_dropped_before_their_end_count() {
        let cancels = Arc::new(Cancels::default());
        let mut first = cancels.begin();
        first.name("first");
        drop(first);
        let mut second = cancels.begin();
        second.name("second");
        second.end();
        drop(second);
        assert_eq!(cancels.count(""), 1);
        assert_eq!(cancels.count("first"), 1);
        assert_eq!(cancels.count("second"), 0);
    }

    #[test]
    fn the_memory_for_texts_is_bounded() {
        let cancels = Arc::new(Cancels::default());
        for _ in 0..REMEMBERED + 1 {
            cancels.begin().name("same");
        }
        assert_eq!(cancels.count(""), 1025);
        assert_eq!(cancels.count("same"), 1024);
    }
}
