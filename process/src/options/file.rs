//! The configuration file: which one, and its text.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use super::mistakes::{Mistake, printable};
use super::rights::{Secrecy, check};
use super::{Origin, Program};

/// Where administrators put it.
pub(super) const ETC: &str = "/etc/grpc-multiplexer";

/// A configuration or a certificate is a few lines. More is another file, and is not read into memory.
const LARGEST: u64 = 1024 * 1024;

/// A configuration file that is to be read.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    pub(super) path: PathBuf,
    /// Who named it; nobody when it was found.
    pub(super) named_by: Option<Origin>,
}

impl Program {
    /// The first file that exists where configuration files are looked for.
    pub(super) fn find_file(&self, home: Option<&Path>) -> Option<Chosen> {
        let found = self
            .places(home, Path::new(ETC))
            .into_iter()
            .find(|path| exists(path));
        found.map(|path| Chosen {
            path,
            named_by: None,
        })
    }

    /// Where configuration files are looked for, in this order.
    pub(super) fn places(&self, home: Option<&Path>, etc: &Path) -> Vec<PathBuf> {
        let yaml = format!("{}.yaml", self.name);
        let mut places = Vec::new();
        if let Some(home) = home {
            let plain = home.join(format!(".{}", self.name));
            places.push(if plain.is_dir() {
                plain.join(&yaml)
            } else {
                plain
            });
            places.push(home.join(format!(".{yaml}")));
        }
        places.push(etc.join(yaml));
        places
    }
}

/// Whether there is something, readable or not: a broken link is there, and what cannot be looked at may be.
pub(crate) fn exists(path: &Path) -> bool {
    match fs::symlink_metadata(path) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    }
}

impl Chosen {
    /// Its text.
    pub(super) fn text(&self) -> Result<String, Mistake> {
        let bytes = read(&self.path, "configuration").and_then(|(metadata, bytes)| {
            check(&self.path, &metadata, Secrecy::Anybody)?;
            Ok(bytes)
        });
        let bytes = bytes.map_err(|reason| self.mistake(reason))?;
        String::from_utf8(bytes).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let (line, column) = end_of(&String::from_utf8_lossy(valid));
            let place = format!("{}:{line}:{column}", self.shown());
            Mistake::at(place, "not UTF-8; save the file in this encoding")
        })
    }

    fn shown(&self) -> String {
        printable(&self.path.to_string_lossy())
    }

    fn mistake(&self, reason: String) -> Mistake {
        match &self.named_by {
            Some(origin) => {
                Mistake::at(origin.to_string(), reason).with_value(&self.path.to_string_lossy())
            }
            None => Mistake::at(self.shown(), reason),
        }
    }
}

/// The bytes of a file, which is to be a plain one and no larger than its `kind` is, and what the system knows of it.
pub(super) fn read(path: &Path, kind: &str) -> Result<(Metadata, Vec<u8>), String> {
    let cannot = |error: io::Error| format!("the file cannot be read: {error}");
    // Asked before it is opened: opening a pipe waits for its other end.
    let metadata = fs::metadata(path).map_err(cannot)?;
    if metadata.is_dir() {
        return Err("this is a folder; name the file in it".to_owned());
    }
    if !metadata.is_file() {
        return Err(format!(
            "this is no regular file; give the {kind} as a plain file"
        ));
    }
    let file = File::open(path).map_err(cannot)?;
    // Of what is read, whatever may be at the path by now.
    let metadata = file.metadata().map_err(cannot)?;
    let mut bytes = Vec::new();
    let mut file = file.take(LARGEST + 1);
    file.read_to_end(&mut bytes).map_err(cannot)?;
    if file.limit() == 0 {
        let limit = LARGEST / 1024;
        return Err(format!("larger than {limit} KiB; a {kind} is a few lines"));
    }
    Ok((metadata, bytes))
}

/// Line and column, counted from 1, of what follows `text`.
fn end_of(text: &str) -> (usize, usize) {
    let last = text.rsplit('\n').next().unwrap_or_default();
    (text.matches('\n').count() + 1, last.chars().count() + 1)
}

#[cfg(test)]
mod tests;
