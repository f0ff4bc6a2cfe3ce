//! The folder of what a server must not forget.
//!
//! Whoever can write there decides what the server believes of its own past, so it is for the server's user alone. Two server
//! processes have one such folder while the one takes over from the other: who changes something holds a lock, and reads
//! anew what it changes.

mod held;
#[cfg(unix)]
mod rights;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use grpc_multiplexer_process::OptionSpec;

pub(crate) use held::Held;

/// The option.
pub(crate) const OPTION: OptionSpec = OptionSpec {
    path: "state-dir",
    value_name: "FOLDER",
    default: None,
    many: false,
    secret: false,
    reload: false,
    help: "Folder of what the server must not forget: which edges enrolled, and of which the hook is still to be told; it is \
           made where there is none, and no other user may reach it. A process that takes over has the same one",
};

/// Parses its value.
///
/// # Errors
///
/// Says what would be right.
pub(crate) fn parse(text: &str) -> Result<PathBuf, &'static str> {
    if text.is_empty() {
        return Err("must be a folder, such as /var/lib/grpc-multiplexer");
    }
    Ok(text.into())
}

/// The file that stands for all of them.
const LOCK: &str = "lock";
/// How files are named that are to take the place of others.
const ASIDE: &str = ".new";
/// How often somebody who has the lock is waited for, and how long each time: no change takes as long.
const TRIES: u32 = 200;
const TRY: Duration = Duration::from_millis(10);

/// Such a folder. Everything that is done with it blocks.
#[derive(Debug, Clone)]
pub(crate) struct StateDir(PathBuf);

/// While this lives nobody else changes anything.
#[derive(Debug)]
pub(crate) struct Locked<'a> {
    dir: &'a StateDir,
    _lock: File,
}

/// Why the folder is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct StateError {
    path: PathBuf,
    reason: String,
}

impl StateError {
    /// What is wrong with what is at `path`, and would be right.
    pub(crate) fn wrong(path: &Path, reason: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }
}

impl StateDir {
    /// The folder at `path`, which is made if it is not there.
    pub(crate) fn open(path: &Path) -> Result<Self, StateError> {
        let new = path.ancestors().take_while(|folder| !folder.exists());
        let new: Vec<_> = new.filter_map(Path::parent).collect();
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path).map_err(|error| failed(path, error))?;
        for parent in new {
            // It may be one that this user cannot open.
            let _ = sync(parent);
        }
        let dir = Self::at(path);
        dir.check()?;
        Ok(dir)
    }

    /// The same for who only reads, and makes nothing.
    pub(crate) fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Sees that it is a folder of this user's alone, in which it may write, or one that it may make.
    pub(crate) fn check(&self) -> Result<(), StateError> {
        let is_there = self.check_if_there()?;
        #[cfg(unix)]
        if !is_there {
            rights::can_be_made(&self.0).map_err(|reason| StateError::wrong(&self.0, reason))?;
        }
        let lock = self.path(LOCK);
        if is_there && lock.exists() {
            // Another user's, as when root ran the server once, keeps everything from being written.
            let opened = OpenOptions::new().write(true).open(&lock);
            opened.map_err(|error| failed(&lock, error))?;
        }
        Ok(())
    }

    /// The same where there is one; whether there is.
    pub(crate) fn check_if_there(&self) -> Result<bool, StateError> {
        let metadata = match fs::metadata(&self.0) {
            Err(error) if is_missing(&error) => return Ok(false),
            metadata => metadata.map_err(|error| failed(&self.0, error))?,
        };
        if !metadata.is_dir() {
            return Err(StateError::wrong(&self.0, "this is no folder; name one"));
        }
        #[cfg(unix)]
        rights::check(&self.0, &metadata).map_err(|reason| StateError::wrong(&self.0, reason))?;
        Ok(true)
    }

    /// Where a file of it is.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    /// What is in a file of it, if there is one.
    pub(crate) fn read(&self, file: &str) -> Result<Option<Vec<u8>>, StateError> {
        let path = self.path(file);
        match fs::read(&path) {
            Err(error) if is_missing(&error) => Ok(None),
            read => read.map(Some).map_err(|error| failed(&path, error)),
        }
    }

    /// Keeps others from changing anything, once whoever does just now is done.
    pub(crate) fn lock(&self) -> Result<Locked<'_>, StateError> {
        let path = self.path(LOCK);
        let lock = open(&path).and_then(|file| {
            wait_and_lock(&file)?;
            Ok(file)
        });
        Ok(Locked {
            dir: self,
            _lock: lock.map_err(|error| failed(&path, error))?,
        })
    }
}

impl Locked<'_> {
    /// Puts files in place of those of their names, one after the other: each whole, and on the disk when this returns. What
    /// takes room is done before the first is replaced.
    pub(crate) fn replace(&self, files: &[(&str, &[u8])]) -> Result<(), StateError> {
        for (name, contents) in files {
            let path = self.aside(name);
            let written = open(&path).and_then(|mut file| {
                file.set_len(0)?;
                file.write_all(contents)?;
                file.sync_all()
            });
            written.map_err(|error| failed(&path, error))?;
        }
        for (name, _) in files {
            let path = self.dir.path(name);
            fs::rename(self.aside(name), &path).map_err(|error| failed(&path, error))?;
            // Each by itself: nothing else keeps them in order when the power fails.
            sync(&self.dir.0)?;
        }
        Ok(())
    }

    /// Where a file is written. What somebody left there who was killed is written over.
    fn aside(&self, name: &str) -> PathBuf {
        self.dir.path(&format!("{name}{ASIDE}"))
    }
}

/// Sees that the names in a folder are on the disk.
#[cfg(unix)]
fn sync(folder: &Path) -> Result<(), StateError> {
    // The parent of a name alone.
    let folder = if folder == Path::new("") {
        Path::new(".")
    } else {
        folder
    };
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| failed(folder, error))
}

/// Folders are no files on such a system.
#[cfg(not(unix))]
fn sync(_: &Path) -> Result<(), StateError> {
    Ok(())
}

/// A file for this user alone.
fn open(path: &Path) -> io::Result<File> {
    private(&mut OpenOptions::new()).open(path)
}

/// The same to be opened in other ways, too.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// Locks a file, if nobody else has it locked. The lock goes with the process.
#[cfg(unix)]
fn lock(file: &File) -> io::Result<bool> {
    use rustix::fs::{FlockOperation, flock};
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        locked => Ok(locked.map(|()| true)?),
    }
}

/// There is no take-over on such a system.
#[cfg(not(unix))]
fn lock(_: &File) -> io::Result<bool> {
    Ok(true)
}

/// The same once whoever has it locked is done.
fn wait_and_lock(file: &File) -> io::Result<()> {
    for _ in 0..TRIES {
        if lock(file)? {
            return Ok(());
        }
        sleep(TRY);
    }
    let waited = TRY * TRIES;
    let text = format!(
        "another process has held it for {waited:?}; if that is another server, end it or give this one another --state-dir"
    );
    Err(io::Error::new(ErrorKind::TimedOut, text))
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn failed(path: &Path, error: io::Error) -> StateError {
    let mut reason = error.to_string();
    if error.kind() == ErrorKind::PermissionDenied {
        reason += "; the server's user must be able to read and to write there";
    }
    StateError::wrong(path, reason)
}
