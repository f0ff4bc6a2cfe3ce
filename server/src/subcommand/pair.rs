//! A certificate and its key, in two files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Secrecy, cannot_write, write};

/// `NAME.pem` and `NAME-key.pem`.
pub(super) struct Pair {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Pair {
    /// Those of that name, which may begin with folders.
    pub(super) fn named(name: &str) -> Self {
        Self {
            certificate: format!("{name}.pem").into(),
            key: format!("{name}-key.pem").into(),
        }
    }

    /// Writes both, of which none may be there.
    pub(super) fn write(&self, certificate: &str, key: &str) -> Result<(), String> {
        if let Some(there) = [&self.certificate, &self.key]
            .into_iter()
            .find(|file| file.exists())
        {
            return Err(format!(
                "{} is there already, and stays as it is",
                there.display()
            ));
        }
        write(&self.key, key, Secrecy::Secret)?;
        write(&self.certificate, certificate, Secrecy::Public)
    }

    /// Writes both in place of what is there. Each file is always whole.
    pub(super) fn replace(&self, certificate: &str, key: &str) -> Result<(), String> {
        replace(&self.key, key, Secrecy::Secret)?;
        replace(&self.certificate, certificate, Secrecy::Public)
    }
}

fn replace(file: &Path, text: &str, secrecy: Secrecy) -> Result<(), String> {
    let new = file.with_extension("pem.new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(cannot_write(&new, &error));
        }
        _ => write(&new, text, secrecy)?,
    }
    fs::rename(&new, file).map_err(|error| cannot_write(file, &error))
}
