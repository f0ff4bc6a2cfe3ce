//! What happened in a history.

use std::fmt::Write as _;

use tokio::time::Instant;

/// What happened, for who has to understand it.
#[derive(Debug, Clone)]
pub(super) struct Trace {
    since: Instant,
    text: String,
}

impl Trace {
    pub(super) fn begin() -> Self {
        Self {
            since: Instant::now(),
            text: String::new(),
        }
    }

    pub(super) fn note(&mut self, what: impl FnOnce() -> String) {
        let at = self.since.elapsed();
        let _ = writeln!(self.text, "{at:>12?} {}", what());
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}
