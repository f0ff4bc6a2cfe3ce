//! Reading the options again while the process works, at SIGHUP.
//!
//! A reload is taken whole or not at all: with one mistake in it, everything stays as it was. Only options whose row says
//! so reload; a change of any other is named, and waits for a restart.

use std::convert::Infallible;

use tokio::sync::watch;
use tokio::task::{JoinError, spawn_blocking};
use tracing::{error, info, warn};

use crate::options::{Given, Sources};
use crate::settings::{ReadConfig, Settings, settings};
use crate::{Hangups, Leaves, Mistakes, OptionSpec, Verbosity};

/// What a reload needs to know, and what it reaches.
#[derive(Debug)]
pub(crate) struct Reload<C> {
    pub(crate) sources: Sources,
    pub(crate) read: ReadConfig<C>,
    /// Those in force.
    pub(crate) leaves: Leaves,
    pub(crate) verbosity: Verbosity,
    pub(crate) configs: watch::Sender<C>,
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

impl<C: Send + Sync + 'static> Reload<C> {
    /// Reloads at each SIGHUP. Those that come during a reload make one more.
    pub(crate) async fn run(mut self, mut hangups: Hangups) -> Infallible {
        loop {
            hangups.next().await;
            info!("SIGHUP received, reading the configuration again");
            let (sources, leaves, read) = (self.sources.clone(), self.leaves.clone(), self.read);
            // Files may be on a disk that does not answer; signals that end the process must be heard all the same.
            match spawn_blocking(move || reread(&sources, leaves, read)).await {
                Ok(Ok(new)) => self.take(new),
                Ok(Err(mistakes)) => refuse(&mistakes),
                Err(error) => bug(&error),
            }
        }
    }

    fn take(&mut self, new: Reread<C>) {
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
            Err(mistakes) => return refuse(&mistakes),
        };
        self.verbosity.set(settings.level);
        self.configs.send_replace(settings.config);
        self.leaves = leaves;
        self.sources.take(&new.given);
        for Change { option, old, new } in &reloading {
            info!(key = %option.path, %old, %new, "option reloaded");
        }
        info!(read = %new.given.read, options = reloading.len(), "configuration reloaded");
    }
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

fn refuse(mistakes: &Mistakes) {
    for mistake in mistakes.lines() {
        error!("{mistake}");
    }
    error!("configuration not reloaded, everything stays as it was");
}

/// A panic while reading. The process works on with what it has.
fn bug(error: &JoinError) {
    error!(%error, "configuration not reloaded, everything stays as it was");
}
