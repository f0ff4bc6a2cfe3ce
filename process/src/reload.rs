//! Reading the options again while the process works: all of them at SIGHUP, and what files hold that options name as soon
//! as they hold something else.
//!
//! A reload is taken whole or not at all: with one mistake in it, everything stays as it was. Only options whose row says
//! so reload; a change of any other is named, and waits for a restart.

use std::convert::Infallible;
use std::future::pending;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::{error, info, warn};

use crate::options::{Files, Given, Noticed, Sources};
use crate::settings::{ReadConfig, Settings, settings};
use crate::tls::{Certificates, REMIND};
use crate::{Hangups, Leaves, Mistakes, OptionSpec, Verbosity};

/// How often files are looked at. New contents are taken at the second look that finds them, so within twice as long.
const LOOK: Duration = Duration::from_secs(2);

/// What a reload needs to know, and what it reaches.
#[derive(Debug)]
pub(crate) struct Reload<C> {
    pub(crate) sources: Sources,
    pub(crate) read: ReadConfig<C>,
    /// Those in force.
    pub(crate) leaves: Leaves,
    pub(crate) verbosity: Verbosity,
    pub(crate) configs: watch::Sender<C>,
    pub(crate) files: Files,
    pub(crate) certificates: Certificates,
    pub(crate) refused: Refused,
}

/// Files that changed and are not in force. They are tried again at each look: what is wrong may be in no file that is looked
/// at.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    files: Vec<PathBuf>,
    /// Why, as was said.
    why: String,
}

/// What the sources say now.
struct Reread<C> {
    given: Given,
    changes: Vec<Change>,
    /// What is to be in force: the old leaves with the new values of what reloads, and what they mean. Together with what
    /// stays, a new value can be a mistake.
    effect: Result<(Leaves, Settings<C>), Mistakes>,
}

/// An option with another value than before.
struct Change {
    option: &'static OptionSpec,
    old: String,
    new: String,
}

/// What files say now that changed, and what that means together with the options in force.
struct Refilled<C> {
    changed: Vec<PathBuf>,
    effect: Result<Settings<C>, Mistakes>,
}

impl<C: Send + Sync + 'static> Reload<C> {
    /// Reloads at each SIGHUP, and when files change. What comes during a reload makes one more.
    pub(crate) async fn run(mut self, mut hangups: Hangups) -> Infallible {
        let (mut looks, mut reminders) = (every(LOOK), every(REMIND));
        loop {
            tokio::select! {
                biased;
                () = hangups.next() => self.reload().await,
                _ = reminders.tick() => self.certificates.remind(),
                _ = looks.tick(), if !self.files.is_empty() => self.look().await,
            }
        }
    }

    /// Reads everything again.
    async fn reload(&mut self) {
        info!("SIGHUP received, reading the configuration again");
        let (sources, leaves, read) = (self.sources.clone(), self.leaves.clone(), self.read);
        let mut files = self.files.clone();
        // Files may be on a disk that does not answer; signals that end the process must be heard all the same.
        let reread = spawn_blocking(move || {
            let changed = files.know();
            (files, changed, reread(&sources, leaves, read))
        });
        match reread.await {
            Ok((files, changed, new)) => {
                self.files = files;
                let changed = self.with_refused(changed);
                match new {
                    Ok(new) => self.take(new, changed),
                    Err(mistakes) => self.refuse(changed, &mistakes),
                }
            }
            Err(error) => bug(&error),
        }
    }

    /// Looks whether files changed, and reads them again if so.
    async fn look(&mut self) {
        let (leaves, read) = (self.leaves.clone(), self.read);
        let mut files = self.files.clone();
        let again = !self.refused.files.is_empty();
        let look = spawn_blocking(move || {
            let changed = files.changed();
            let changed = changed.filter(|changed| again || !changed.is_empty());
            let refilled = changed.map(|changed| Refilled {
                changed,
                effect: settings(&leaves, read),
            });
            (files, refilled)
        });
        match look.await {
            Ok((files, refilled)) => {
                self.files = files;
                if let Some(refilled) = refilled {
                    self.refill(refilled);
                }
            }
            Err(error) => bug(&error),
        }
    }

    fn refill(&mut self, Refilled { changed, effect }: Refilled<C>) {
        let is_new = !changed.is_empty();
        let changed = self.with_refused(changed);
        match effect {
            Ok(settings) => {
                self.put_in_force(settings);
                say_taken(&changed);
            }
            Err(mistakes) if is_new || mistakes.to_string() != self.refused.why => {
                self.refuse(changed, &mistakes);
            }
            // It was said.
            Err(_) => {}
        }
    }

    /// Those files, and what was refused before.
    fn with_refused(&self, mut changed: Vec<PathBuf>) -> Vec<PathBuf> {
        for file in &self.refused.files {
            if !changed.contains(file) {
                changed.push(file.clone());
            }
        }
        changed
    }

    fn refuse(&mut self, files: Vec<PathBuf>, mistakes: &Mistakes) {
        for mistake in mistakes.lines() {
            error!("{mistake}");
        }
        error!("configuration not reloaded, everything stays as it was");
        let why = mistakes.to_string();
        self.refused = Refused { files, why };
    }

    fn put_in_force(&mut self, settings: Settings<C>) {
        self.verbosity.set(settings.level);
        self.configs.send_replace(settings.config);
        let Noticed {
            files,
            certificates,
            warnings,
        } = settings.noticed;
        for warning in warnings {
            warn!("{warning}");
        }
        self.files = Files::read(files);
        self.refused = Refused::default();
        self.certificates.set(certificates);
        self.certificates.remind();
    }

    fn take(&mut self, new: Reread<C>, changed: Vec<PathBuf>) {
        for warning in &new.given.warnings {
            warn!("{warning}");
        }
        let (reloading, staying): (Vec<_>, Vec<_>) =
            new.changes.iter().partition(|change| change.option.reload);
        for Change { option, old, new } in staying {
            warn!(key = %option.path, in_force = %old, %new, "option changed, which needs a restart");
        }
        let (leaves, settings) = match new.effect {
            Ok(effect) => effect,
            Err(mistakes) => return self.refuse(changed, &mistakes),
        };
        self.put_in_force(settings);
        self.leaves = leaves;
        self.sources.take(&new.given);
        say_taken(&changed);
        for Change { option, old, new } in &reloading {
            info!(key = %option.path, %old, %new, "option reloaded");
        }
        info!(read = %new.given.read, options = reloading.len(), "configuration reloaded");
    }
}

fn every(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn reread<C>(sources: &Sources, old: Leaves, read: ReadConfig<C>) -> Result<Reread<C>, Mistakes> {
    let given = sources.read();
    settings(&given.leaves, read)?;
    let changes = changes(&old, &given.leaves);
    let reloading = changes.iter().filter(|change| change.option.reload);
    let leaves = old.with(reloading.map(|change| change.option.path), &given.leaves);
    Ok(Reread {
        given,
        changes,
        effect: settings(&leaves, read).map(|settings| (leaves, settings)),
    })
}

fn changes(old: &Leaves, new: &Leaves) -> Vec<Change> {
    let differs = |option: &&OptionSpec| {
        let values = |leaves: &Leaves| -> Vec<String> {
            let leaves = leaves.at(option.path);
            leaves.iter().map(|leaf| leaf.value.clone()).collect()
        };
        values(old) != values(new)
    };
    let change = |option| Change {
        option,
        old: old.shown(option),
        new: new.shown(option),
    };
    old.options().iter().filter(differs).map(change).collect()
}

fn say_taken(changed: &[PathBuf]) {
    for file in changed {
        info!(file = %file.display(), "file changed, and taken");
    }
}

/// Waits until `look` finds something in what was read last: now, or after a reload.
///
/// # Cancel safety
///
/// Cancel-safe.
pub async fn until<C, T>(configs: &watch::Receiver<C>, look: impl Fn(&C) -> Option<T>) -> T {
    let mut configs = configs.clone();
    loop {
        let found = look(&configs.borrow_and_update());
        if let Some(found) = found {
            return found;
        }
        if configs.changed().await.is_err() {
            // Nothing changes any more.
            pending::<()>().await;
        }
    }
}

/// A panic while reading. The process works on with what it has.
fn bug(error: &JoinError) {
    error!(%error, "configuration not reloaded, everything stays as it was");
}

#[cfg(test)]
mod tests;
