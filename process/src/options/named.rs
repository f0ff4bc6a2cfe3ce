//! Files that options name: certificates, keys, authorities, tokens, policies. They are read with the options, and looked at from
//! then on, so that new contents take effect without a word to the process.

use std::fmt;
use std::fs::Metadata;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;

use super::file::read;
use super::rights::{Secrecy, check};

/// What such a file is.
const KIND: &str = "certificate, key, token or policy";

/// A file that an option names, as it was when it was read. Its `Debug` does not show what is in it.
#[derive(Clone)]
pub struct NamedFile {
    /// Where it is.
    pub path: PathBuf,
    /// What is in it.
    pub contents: Vec<u8>,
}

impl fmt::Debug for NamedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NamedFile").field(&self.path).finish()
    }
}

/// Reads the file at `path`, and says what was there, whether or not it can be used.
pub(crate) fn named(
    path: impl Into<PathBuf>,
    secrecy: Secrecy,
) -> (Seen, Result<NamedFile, String>) {
    let path = path.into();
    let read = read(&path, KIND);
    let seen = Seen {
        print: read.as_ref().ok().map(print),
        path: path.clone(),
    };
    let file = read.and_then(|(metadata, contents)| {
        check(&path, &metadata, secrecy)?;
        Ok(NamedFile { path, contents })
    });
    (seen, file)
}

/// What was seen at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    path: PathBuf,
    /// Tells contents apart; none for what cannot be read.
    print: Option<u64>,
}

impl Seen {
    /// What is not there yet.
    pub(super) fn nothing(path: PathBuf) -> Self {
        Self { path, print: None }
    }

    fn again(&self) -> Self {
        Self {
            path: self.path.clone(),
            print: read(&self.path, KIND).as_ref().ok().map(print),
        }
    }
}

/// Mode and owner are part of it: who mends those wants the file to be tried again.
fn print((metadata, contents): &(Metadata, Vec<u8>)) -> u64 {
    let mut hasher = DefaultHasher::new();
    contents.hash(&mut hasher);
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        (metadata.mode(), metadata.uid()).hash(&mut hasher);
    }
    #[cfg(not(unix))]
    let _ = metadata;
    hasher.finish()
}

/// The files that the options in force name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files {
    /// As they were when they were last taken, or refused.
    known: Vec<Seen>,
    /// As they were at the last look.
    before: Vec<Seen>,
}

impl Files {
    /// Those that were just read.
    pub(crate) fn read(seen: Vec<Seen>) -> Self {
        Self {
            before: seen.clone(),
            known: seen,
        }
    }

    /// Whether there is nothing to look at.
    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Takes them for known as they are now, and says which changed. Blocks.
    pub(crate) fn know(&mut self) -> Vec<PathBuf> {
        let now: Vec<_> = self.known.iter().map(Seen::again).collect();
        let changed = self.changed_in(&now);
        *self = Self::read(now);
        changed
    }

    /// Those that changed, once all are as they were at the look before; none until then: what is being written is left alone.
    /// Blocks.
    pub(crate) fn changed(&mut self) -> Option<Vec<PathBuf>> {
        let now: Vec<_> = self.known.iter().map(Seen::again).collect();
        if now != self.before {
            self.before = now;
            return None;
        }
        let changed = self.changed_in(&now);
        self.known = now;
        Some(changed)
    }

    fn changed_in(&self, now: &[Seen]) -> Vec<PathBuf> {
        let pairs = now.iter().zip(&self.known);
        let changed = pairs.filter(|(now, known)| now != known);
        changed.map(|(now, _)| now.path.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A file of a test's own, removed with it.
    struct Temporary(PathBuf);

    impl Temporary {
        fn new(name: &str) -> Self {
            let name = format!("mux-named-{name}-{}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    #[test]
    fn a_change_is_told_once_and_only_when_it_is_over() {
        let file = Temporary::new("changes");
        fs::write(&file.0, "one").unwrap();
        let (seen, _) = named(file.0.to_str().unwrap(), Secrecy::Anybody);
        let mut files = Files::read(vec![seen]);
        assert_eq!(files.changed(), Some(vec![]));
        for half in ["t", "tw", "two"] {
            fs::write(&file.0, half).unwrap();
            assert_eq!(files.changed(), None, "{half}");
        }
        assert_eq!(files.changed(), Some(vec![file.0.clone()]));
        assert_eq!(files.changed(), Some(vec![]));
        // One that is gone has changed as well.
        fs::remove_file(&file.0).unwrap();
        assert_eq!(files.changed(), None);
        assert_eq!(files.changed(), Some(vec![file.0.clone()]));
    }

    #[test]
    fn what_is_in_a_file_is_not_shown() {
        let file = Temporary::new("shown");
        fs::write(&file.0, "hunter2").unwrap();
        let (seen, read) = named(&file.0, Secrecy::Anybody);
        assert!(!format!("{seen:?} {:?}", read.unwrap()).contains("hunter2"));
    }
}
