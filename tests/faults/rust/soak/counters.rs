//! What h2 and yamux count for the life of a connection, and how often the soak went past the end of each count.
//!
//! A library that lets everything through would end the connection there, and with it everybody's calls; or it is the
//! count of a library at another end that would. The counts that are only about what is there at a time are among them
//! where a burst goes past them.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Counter {
    EmptyToBackend,
    EmptyToCaller,
    ErrorsOfCaller,
    ErrorsAtBackend,
    LateData,
    UnacceptedAtServer,
    UnacceptedAtBackend,
    TinyUnread,
    Streams,
    LastId,
}

impl Counter {
    const ALL: [Self; 10] = [
        Self::EmptyToBackend,
        Self::EmptyToCaller,
        Self::ErrorsOfCaller,
        Self::ErrorsAtBackend,
        Self::LateData,
        Self::UnacceptedAtServer,
        Self::UnacceptedAtBackend,
        Self::TinyUnread,
        Self::Streams,
        Self::LastId,
    ];

    /// What is counted, of which connection, and how much of it there may be.
    fn says(self) -> (&'static str, u64) {
        match self {
            Self::EmptyToBackend => ("h2: empty DATA frames from callers of one lane", 100),
            Self::EmptyToCaller => ("h2: empty DATA frames from backends of one caller", 100),
            Self::ErrorsOfCaller => (
                "h2: DATA of one caller connection behind an answer of the server",
                10_000,
            ),
            Self::ErrorsAtBackend => (
                "h2: DATA of one lane behind an answer of the backend",
                1_024,
            ),
            Self::LateData => ("h2: DATA of one lane behind a cancel", 1_024),
            Self::UnacceptedAtServer => (
                "h2: calls of one caller cancelled at once, before they are accepted",
                20,
            ),
            Self::UnacceptedAtBackend => (
                "h2: calls of one lane cancelled at once, before they are accepted",
                20,
            ),
            Self::TinyUnread => (
                "h2: what tiny DATA frames of one lane waste while nobody reads (bytes)",
                512 * 1024,
            ),
            Self::Streams => ("yamux: streams of one tunnel", 256),
            Self::LastId => ("h2: stream ids of one caller connection, to the last", 1),
        }
    }
}

/// What could not be gone past in any time that a soak has.
const OUT_OF_REACH: [&str; 2] = [
    "h2: stream ids of one lane (1,073,741,824 calls; no setting begins later)",
    "yamux: stream ids of one tunnel (2,147,483,648 streams; no setting begins later)",
];

/// How often each was gone past.
#[derive(Debug, Default)]
pub(super) struct Counters(BTreeMap<Counter, Row>);

#[derive(Debug, Default, Clone, Copy)]
struct Row {
    /// In one connection.
    most: u64,
    /// Times that a connection went past its limit, all of them together.
    crossed: u64,
}

impl Counters {
    /// So many in one connection.
    pub(super) fn add(&mut self, counter: Counter, events: u64) {
        let (_, limit) = counter.says();
        let row = self.0.entry(counter).or_default();
        row.most = row.most.max(events);
        row.crossed += events / limit;
    }

    fn row(&self, counter: Counter) -> Row {
        self.0.get(&counter).copied().unwrap_or_default()
    }

    /// Those that were not gone past twice.
    pub(super) fn missing(&self) -> impl Iterator<Item = &'static str> {
        let short = Counter::ALL
            .into_iter()
            .filter(|counter| self.row(*counter).crossed < 2);
        short.map(|counter| counter.says().0)
    }

    pub(super) fn json(&self) -> Value {
        let rows = Counter::ALL.map(|counter| {
            let ((what, limit), row) = (counter.says(), self.row(counter));
            json!({"counter": what, "limit": limit, "most": row.most, "crossed": row.crossed})
        });
        json!({"counters": rows, "out_of_reach": OUT_OF_REACH})
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "   limit      most  crossed  counter")?;
        for counter in Counter::ALL {
            let ((what, limit), Row { most, crossed }) = (counter.says(), self.row(counter));
            writeln!(f, "{limit:8}  {most:8}  {crossed:7}  {what}")?;
        }
        let mut rest = OUT_OF_REACH.iter();
        rest.try_for_each(|what| writeln!(f, "                  never  {what}"))
    }
}
