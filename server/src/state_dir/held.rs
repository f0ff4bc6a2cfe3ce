//! A file that one process has for itself.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use super::{ASIDE, StateDir, StateError, failed, is_missing, lock, private, sync};

/// Such a file. As long as this lives, and so no longer than its process, nobody else can [take](StateDir::take) it.
/// Everything that is done with it blocks.
#[derive(Debug)]
pub(crate) struct Held {
    dir: StateDir,
    name: String,
    file: File,
}

impl StateDir {
    /// The files whose names begin so. What somebody left aside who was killed is removed.
    pub(crate) fn beginning(&self, with: &str) -> Result<Vec<String>, StateError> {
        let entries = fs::read_dir(&self.0).map_err(|error| failed(&self.0, error))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let (left, names): (Vec<_>, Vec<_>) = names
            .filter(|name| name.starts_with(with))
            .partition(|name| name.ends_with(ASIDE));
        for name in left {
            if let Some(left) = self.take(&name)? {
                left.remove()?;
            }
        }
        Ok(names)
    }

    /// Takes a file, which is made if it is not there. `None` while another process has it, or puts another in its place.
    pub(crate) fn take(&self, name: &str) -> Result<Option<Held>, StateError> {
        let path = self.path(name);
        let taken = open(&path).and_then(|file| {
            let is_ours = lock(&file)? && is_at(&file, &path)?;
            Ok(is_ours.then_some(file))
        });
        let taken = taken.map_err(|error| failed(&path, error))?;
        Ok(taken.map(|file| Held {
            dir: self.clone(),
            name: name.to_owned(),
            file,
        }))
    }
}

impl Held {
    /// What is in it.
    pub(crate) fn read(&mut self) -> Result<Vec<u8>, StateError> {
        let mut text = Vec::new();
        let read = self.file.seek(SeekFrom::Start(0));
        let read = read.and_then(|_| self.file.read_to_end(&mut text));
        read.map_err(|error| self.failed(error))?;
        Ok(text)
    }

    /// Adds to it. It is on the disk when this returns.
    pub(crate) fn append(&mut self, text: &[u8]) -> Result<(), StateError> {
        let written = self.file.seek(SeekFrom::End(0));
        let written = written.and_then(|_| self.file.write_all(text));
        let written = written.and_then(|()| self.file.sync_data());
        written.map_err(|error| self.failed(error))
    }

    /// Puts `text` in place of all that is in it, whole or not at all. It is on the disk when this returns.
    pub(crate) fn replace(&mut self, text: &[u8]) -> Result<(), StateError> {
        let aside = format!("{}{ASIDE}", self.name);
        let Some(mut next) = self.dir.take(&aside)? else {
            let busy = io::Error::from(ErrorKind::ResourceBusy);
            return Err(failed(&self.dir.path(&aside), busy));
        };
        let emptied = next.file.set_len(0);
        emptied.map_err(|error| next.failed(error))?;
        next.append(text)?;
        let (from, to) = (self.dir.path(&aside), self.dir.path(&self.name));
        fs::rename(&from, &to).map_err(|error| failed(&to, error))?;
        // It was held before it had the name.
        self.file = next.file;
        sync(&self.dir.0)
    }

    /// Removes it.
    pub(crate) fn remove(self) -> Result<(), StateError> {
        fs::remove_file(self.dir.path(&self.name)).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> StateError {
        failed(&self.dir.path(&self.name), error)
    }
}

/// A file for this user alone, to be read, too.
fn open(path: &Path) -> io::Result<File> {
    private(OpenOptions::new().read(true)).open(path)
}

/// Whether it still has that name.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let there = match fs::metadata(path) {
        Err(error) if is_missing(&error) => return Ok(false),
        there => there?,
    };
    let held = file.metadata()?;
    Ok((held.dev(), held.ino()) == (there.dev(), there.ino()))
}

#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}
