//! A wall clock of a case's own, which is set while processes run by it: they are started with libfaketime.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;
use grpc_multiplexer_tests::Folder;

use crate::score::NotRun;

/// A clock. Monotonic time, which no administrator sets, goes on as it does.
#[derive(Debug)]
pub(crate) struct Clock {
    library: PathBuf,
    /// What it shows, as libfaketime reads it.
    shown: String,
}

impl Clock {
    /// One that is right, for now.
    ///
    /// # Errors
    ///
    /// [`NotRun`] where libfaketime is not installed.
    pub(crate) fn new(folder: &Folder) -> anyhow::Result<Self> {
        let libraries = fs::read_dir("/usr/lib").context("no /usr/lib")?;
        let places = libraries.filter_map(|entry| {
            let place = entry.ok()?.path().join("faketime/libfaketimeMT.so.1");
            place.exists().then_some(place)
        });
        let missing = || NotRun("needs libfaketime (Debian package libfaketime)".into());
        Ok(Self {
            library: places.into_iter().next().ok_or_else(missing)?,
            shown: folder.put("clock", "+0"),
        })
    }

    /// Sets it: `+1d` is a day ahead.
    pub(crate) fn set(&self, to: &str) -> anyhow::Result<()> {
        // In place of the old one, so that nobody reads half of it.
        let new = format!("{}.new", self.shown);
        fs::write(&new, to)?;
        Ok(fs::rename(new, &self.shown)?)
    }

    /// The command's process runs by it.
    pub(crate) fn rules(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.shown)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
}
