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

    /// Fails if one of them is there, and then says what to do `instead`.
    pub(super) fn is_new(&self, instead: &str) -> Result<(), String> {
        let mut files = [&self.certificate, &self.key].into_iter();
        match files.find(|file| file.exists()) {
            None => Ok(()),
            Some(there) => Err(format!(
                "{} is there already, and stays as it is; {instead}",
                there.display()
            )),
        }
    }

    /// Writes both. What is there stays.
    pub(super) fn write(&self, certificate: &str, key: &str) -> Result<(), String> {
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
