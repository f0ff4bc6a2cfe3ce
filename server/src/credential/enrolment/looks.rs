//! The first file as people and other processes change it: what of that is taken, and when.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};

use super::Enrolled;
use super::files::{EDGES, Files};
use crate::state_dir::StateError;

/// How often the first is looked at. What somebody wrote there is taken at the second look that finds it.
const LOOK: Duration = Duration::from_secs(2);

/// What the first file says, if it is there, or why it cannot be read.
type Text = Result<Option<Vec<u8>>, StateError>;

/// What the first file said.
#[derive(Debug)]
pub(super) struct Texts {
    /// When it was taken.
    known: Option<Vec<u8>>,
    /// At the last look.
    seen: Text,
    /// Why it was not taken since, as was said.
    pub(super) refused: Option<StateError>,
}

impl Texts {
    /// What was just taken.
    pub(super) fn of(edges: Option<Vec<u8>>) -> Self {
        Self {
            seen: Ok(edges.clone()),
            known: edges,
            refused: None,
        }
    }
}

impl Enrolled {
    /// Looks at the file of enrolled keys again and again: people may edit it, and so may another process.
    pub(crate) async fn keep(self: Arc<Self>) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let enrolled = Arc::clone(&self);
            // A panic has said so itself.
            let _ = spawn_blocking(move || enrolled.look()).await;
        }
    }

    pub(super) fn look(&self) {
        let mut texts = self.texts();
        match self.another(&mut texts) {
            Ok(Some(files)) => {
                self.take(&mut texts, files);
                let file = self.dir.path(EDGES);
                info!(file = %file.display(), "file changed, and taken");
            }
            Ok(None) => {}
            // Tried at each look, and said once.
            Err(error) if texts.refused.as_ref() == Some(&error) => {}
            Err(error) => {
                let said: &dyn std::error::Error = &error;
                error!(
                    error = said,
                    "enrolled edges not read again, everything stays as it was"
                );
                texts.refused = Some(error);
            }
        }
    }

    /// What is to be taken: another first file than is in force, when it is as it was at the last look. What is being written
    /// is left alone.
    fn another(&self, texts: &mut Texts) -> Result<Option<Files>, StateError> {
        let there = self.dir.check_if_there();
        let text = there.and_then(|_| self.dir.read(EDGES));
        if text != texts.seen {
            texts.seen = text;
            texts.refused = None;
            return Ok(None);
        }
        let text = text?;
        if text == texts.known {
            return Ok(None);
        }
        let text = text.ok_or_else(|| self.gone())?;
        Files::with(Some(text), &self.dir).map(Some)
    }

    /// Whether all that is in force is in what was read just now. Where something is missing somebody may be in the middle
    /// of writing the file, and what is added to it then would make that final: it is for [looks](Self::look) to take.
    pub(super) fn has_all_of(&self, read: &Files) -> Result<(), StateError> {
        if self.known.borrow().keys.are_among(&read.keys) {
            return Ok(());
        }
        Err(if read.edges.is_some() {
            let reason = "somebody changes the file just now; nobody enrols until that is over";
            StateError::wrong(&self.dir.path(EDGES), reason)
        } else {
            self.gone()
        })
    }

    /// Whoever takes the file away, or the disk that it is on, means something else than who takes all lines out of it.
    fn gone(&self) -> StateError {
        let reason =
            "the file is gone; put it back, or an empty one if nobody is to be enrolled any more";
        StateError::wrong(&self.dir.path(EDGES), reason)
    }
}
