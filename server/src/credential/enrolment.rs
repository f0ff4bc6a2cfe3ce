//! A token that is exchanged once for an edge's own key.
//!
//! Tokens and their client ids are in the file of an option, and what was exchanged is in the state folder:
//!
//! * `enrolled-edges` has what [`Keys`] reads, for people to read and to edit. A line that is written here ends with the
//!   SHA-256 of its token, so that one line, written at once, admits the key and spends the token.
//! * `spent-tokens` has the SHA-256 of each spent token, so that a token stays spent when somebody takes its line out of the
//!   other. It is written after the other: a crash in between loses nothing, because a token whose line is in the other is
//!   spent, too.
//!
//! Both are on the disk before the edge is welcomed. If its welcome is lost, it comes again with its key, which is known now.

mod denied;
mod files;
mod looks;

use std::collections::HashSet;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use grpc_multiplexer_process::{Remarks, SshPublicKey};
use grpc_multiplexer_tunnel::ClientId;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{error, info};

pub(crate) use denied::EnrolmentDenied;
use files::{EDGES, Files, SPENT};
use looks::Texts;

use super::scope::{Scope, Serves};
use super::{Digest, Keys};
use crate::state_dir::{StateDir, StateError};

/// How long an edge waits for its turn, which is less than it waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who enrolled, and with which tokens.
#[derive(Debug)]
pub(crate) struct Enrolled {
    dir: StateDir,
    known: watch::Sender<Known>,
    /// Whose turn it is to enrol. Who waits for it has no thread, and is forgotten when it goes.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Held while files are read and written.
    texts: Mutex<Texts>,
    /// Why edges were not enrolled.
    unwritten: Remarks,
}

/// What is in force.
#[derive(Debug, Default)]
pub(crate) struct Known {
    keys: Keys,
    /// Every token that ever was seen spent.
    spent: HashSet<Digest>,
}

/// An edge that wants to enrol: its key, of which there is proof, and its token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) key: SshPublicKey,
    pub(crate) token: Digest,
}

impl Enrolled {
    /// What is known from earlier in the folder at `path`, which is made if it is not there.
    pub(crate) async fn open(path: PathBuf) -> Result<Self, StateError> {
        let opened = spawn_blocking(move || Self::of(StateDir::open(&path)?));
        opened
            .await
            .unwrap_or_else(|panic| resume_unwind(panic.into_panic()))
    }

    fn of(dir: StateDir) -> Result<Self, StateError> {
        let enrolled = Self {
            known: watch::Sender::default(),
            turn: Arc::default(),
            texts: Mutex::new(Texts::of(None)),
            unwritten: Remarks::default(),
            dir,
        };
        {
            let mut texts = enrolled.texts();
            let locked = enrolled.dir.lock()?;
            let mut files = Files::read(&enrolled.dir)?;
            // Somebody may have been killed between the two.
            if files.complete() {
                locked.replace(&[(SPENT, &files.spent_text)])?;
            }
            enrolled.take(&mut texts, files);
        }
        Ok(enrolled)
    }

    /// What is wrong with what is in the folder at `path`, if there is one. Blocks.
    pub(super) fn check(path: &Path) -> Result<(), StateError> {
        let dir = StateDir::at(path);
        dir.check()?;
        Files::read(&dir).map(drop)
    }

    /// Whether anybody ever enrolled there. Blocks.
    pub(super) fn has_been_at(path: &Path) -> bool {
        let dir = StateDir::at(path);
        [EDGES, SPENT].iter().any(|file| dir.path(file).exists())
    }

    /// Whether any key is known.
    pub(crate) fn has_any(&self) -> bool {
        !self.known.borrow().keys.is_empty()
    }

    /// What a key grants that was enrolled.
    pub(crate) fn scope(&self, key: &SshPublicKey) -> Option<Scope> {
        self.known.borrow().keys.scope(key).cloned()
    }

    /// Sees from now on when a key loses something of what it [grants](Self::scope).
    pub(crate) fn losses(&self) -> watch::Receiver<Known> {
        self.known.subscribe()
    }

    /// Whether the token is known to be spent.
    pub(crate) fn has_spent(&self, token: &Digest) -> bool {
        self.known.borrow().spent.contains(token)
    }

    /// Writes down that an edge enrolled, as one that has that client id and no other, and may serve that. Its token is to be
    /// one that grants both.
    ///
    /// # Cancel safety
    ///
    /// What has begun is brought to its end. Whose turn has not come is not enrolled.
    pub(crate) async fn enrol(
        self: &Arc<Self>,
        wish: Wish,
        id: &ClientId,
        serves: Serves,
    ) -> Result<(), EnrolmentDenied> {
        let turn = timeout(PATIENCE, Arc::clone(&self.turn).lock_owned());
        let turn = turn.await.map_err(|_| EnrolmentDenied::Busy)?;
        let (enrolled, id) = (Arc::clone(self), id.clone());
        let written = spawn_blocking(move || {
            let _turn = turn;
            enrolled.write(wish, &id, serves).unwrap_or_else(|error| {
                enrolled.cannot_write(&id, &error);
                Err(EnrolmentDenied::Unwritten)
            })
        });
        // A panic has said so itself.
        written.await.unwrap_or(Err(EnrolmentDenied::Unwritten))
    }

    /// Says why an edge was not enrolled, each reason once a minute: a whole fleet may come again every few seconds.
    fn cannot_write(&self, id: &ClientId, error: &StateError) {
        if let Some(times) = self.unwritten.again(&error.to_string()) {
            let error: &dyn std::error::Error = error;
            error!(client_id = %id, times, error, "edge not enrolled: that cannot be written down");
        }
    }

    fn write(
        &self,
        wish: Wish,
        id: &ClientId,
        serves: Serves,
    ) -> Result<Result<(), EnrolmentDenied>, StateError> {
        let mut texts = self.texts();
        let locked = self.dir.lock()?;
        // Another process may have been here.
        let read = Files::read(&self.dir)?;
        self.has_all_of(&read)?;
        let is_known = read.keys.scope(&wish.key).is_some();
        let is_spent = read.spent.contains(&wish.token) || self.has_spent(&wish.token);
        if is_known || is_spent {
            self.take(&mut texts, read);
            // The same edge may come twice at a time.
            return Ok(if is_known {
                Ok(())
            } else {
                Err(EnrolmentDenied::Spent)
            });
        }
        let files = read.and(wish, &Scope::of(id.clone(), serves), &self.dir)?;
        let edges = files.edges.as_deref().unwrap_or_default();
        locked.replace(&[(EDGES, edges), (SPENT, &files.spent_text)])?;
        info!(client_id = %id, key = %wish.key, token = %wish.token, "edge enrolled");
        self.take(&mut texts, files);
        Ok(Ok(()))
    }

    /// Puts in force what the files say. Whoever has a key is told only when one lost something: of an edge more nobody needs
    /// to know, and there may be thousands.
    fn take(&self, texts: &mut Texts, files: Files) {
        self.known.send_if_modified(|known| {
            known.spent.extend(&files.spent);
            let before = std::mem::replace(&mut known.keys, files.keys);
            !before.are_among(&known.keys)
        });
        *texts = Texts::of(files.edges);
    }

    fn texts(&self) -> MutexGuard<'_, Texts> {
        // A panic while the lock is held leaves what the file said at one time or another.
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
