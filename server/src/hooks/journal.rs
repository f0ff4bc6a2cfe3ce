//! What the hook is being told, written down before it is: so that whoever comes after a server that was killed can tell the
//! rest.
//!
//! Each server process has a file of its own in the state folder, and holds it while it lives. A line is one step of an epoch:
//!
//! ```text
//! connected {"serverId":"…","epoch":"…-17","clientId":"rainbow",…}
//! heard …-17
//! disconnected {"serverId":"…","epoch":"…-17",…}
//! done …-17
//! ```
//!
//! An epoch that is `done` need not be known any more, so the file is written anew, without those, when they are most of it.

mod left;

use std::collections::HashMap;
use std::error::Error;
use std::panic::resume_unwind;

use bytes::BufMut as _;
use grpc_multiplexer_process::Seldom;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tracing::error;

use super::json::Json;
use super::telling::Telling;
use crate::state_dir::{Held, StateDir, StateError};
pub(super) use left::Left;

/// What files are named, with the id of the server behind it.
const NAME: &str = "hook-events-";

const CONNECTED: &str = "connected";
const HEARD: &str = "heard";
const DISCONNECTED: &str = "disconnected";
const DONE: &str = "done";

/// Steps that are written at once.
const BATCH: usize = 1024;
/// A file of less is not written anew.
const SMALL: usize = 1024 * 1024;
/// Nor is one of which more than one part in so many is still needed.
const MOSTLY: usize = 4;

/// What is written by way of.
#[derive(Debug, Clone)]
pub(crate) struct Journal(mpsc::Sender<(Step, oneshot::Sender<()>)>);

/// Who writes.
#[derive(Debug)]
pub(crate) struct Writer {
    steps: mpsc::Receiver<(Step, oneshot::Sender<()>)>,
    book: Book,
}

/// One line.
#[derive(Debug)]
struct Step {
    epoch: String,
    line: Vec<u8>,
    is_last: bool,
}

/// The file, and what of it is needed.
#[derive(Debug)]
struct Book {
    file: Held,
    /// The lines of each epoch that is not done.
    open: HashMap<String, Vec<u8>>,
    /// Bytes in the file.
    length: usize,
    /// Whether the file has all that it is to have: what could not be written may stand there by half.
    is_whole: bool,
}

impl Journal {
    /// That of a server of that id.
    pub(crate) async fn open(dir: StateDir, server_id: &str) -> Result<(Self, Writer), StateError> {
        let name = format!("{NAME}{server_id}");
        let file = spawn_blocking(move || {
            let file = dir.take(&name)?;
            file.ok_or_else(|| StateError::wrong(&dir.path(&name), "another process has this file"))
        });
        let file = file
            .await
            .unwrap_or_else(|panic| resume_unwind(panic.into_panic()))?;
        let (sender, steps) = mpsc::channel(BATCH);
        let book = Book {
            file,
            open: HashMap::new(),
            length: 0,
            is_whole: true,
        };
        Ok((Self(sender), Writer { steps, book }))
    }

    /// Writes down what the hook is going to be told.
    pub(super) async fn will_be_told(&self, telling: &Telling, json: &Json) {
        let (word, said) = match telling {
            Telling::Connected(connected) => (CONNECTED, json.write(connected)),
            Telling::Disconnected(disconnected) => (DISCONNECTED, json.write(disconnected)),
        };
        self.write(telling, word, &said).await;
    }

    /// Writes down that it knows that.
    pub(super) async fn was_told(&self, telling: &Telling) {
        let word = match telling {
            Telling::Connected(_) => HEARD,
            Telling::Disconnected(_) => DONE,
        };
        self.write(telling, word, telling.epoch().as_bytes()).await;
    }

    /// Returns when it is on the disk, or cannot be: then the hook is told all the same.
    async fn write(&self, telling: &Telling, word: &str, said: &[u8]) {
        let step = Step {
            epoch: telling.epoch().to_owned(),
            line: [word.as_bytes(), b" ", said, b"\n"].concat(),
            is_last: word == DONE,
        };
        let (written, is_written) = oneshot::channel();
        if self.0.send((step, written)).await.is_ok() {
            let _ = is_written.await;
        }
    }
}

impl Writer {
    /// Writes until nobody can want that any more.
    pub(crate) async fn run(mut self) {
        let failed = Seldom::default();
        let mut book = self.book;
        loop {
            let mut steps = Vec::new();
            if self.steps.recv_many(&mut steps, BATCH).await == 0 {
                return;
            }
            let (steps, written): (Vec<_>, Vec<_>) = steps.into_iter().unzip();
            let result;
            (book, result) = spawn_blocking(|| book.and(steps))
                .await
                .unwrap_or_else(|panic| resume_unwind(panic.into_panic()));
            if let Err(error) = result
                && let Some(times) = failed.again()
            {
                let error: &dyn Error = &error;
                error!(
                    times,
                    error,
                    "what the hook is told of edges cannot be written down; if this server is killed, the hook will not hear of \
                     their end"
                );
            }
            // What is not written is tried again with what comes next.
            for written in written {
                let _ = written.send(());
            }
        }
    }
}

impl Book {
    /// The same after these steps.
    fn and(mut self, steps: Vec<Step>) -> (Self, Result<(), StateError>) {
        let mut text = Vec::new();
        for Step {
            epoch,
            line,
            is_last,
        } in steps
        {
            text.put_slice(&line);
            if is_last {
                self.open.remove(&epoch);
            } else {
                self.open.entry(epoch).or_default().put_slice(&line);
            }
        }
        let needed: usize = self.open.values().map(Vec::len).sum();
        let length = self.length + text.len();
        let is_full = length > SMALL && length / MOSTLY > needed;
        let written = if self.is_whole && !is_full && needed > 0 {
            self.file.append(&text).map(|()| length)
        } else {
            let text: Vec<_> = self.open.values().flatten().copied().collect();
            self.file.replace(&text).map(|()| needed)
        };
        self.is_whole = written.is_ok();
        let written = written.map(|length| self.length = length);
        (self, written)
    }
}

#[cfg(test)]
mod tests;
