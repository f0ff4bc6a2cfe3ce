//! Files of a test.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::secrets::plant_file;

/// A folder of a test's own, removed with it.
#[derive(Debug)]
pub struct Folder(pub PathBuf);

impl Folder {
    /// An empty one.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    #[must_use]
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Short, because the path of a Unix socket must be.
        let name = format!("mux-{name}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a file at a path below the folder, and gives its whole path.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn put(&self, path: &str, contents: impl AsRef<[u8]>) -> String {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &contents).unwrap();
        if is_secret(&path) {
            plant_file(contents);
        }
        path.display().to_string()
    }
}

impl Folder {
    /// The same for what nobody else may be able to read. From now on it is a [secret](crate::secrets), and so is what
    /// [`put`](Self::put) writes in its place.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn put_secret(&self, path: &str, contents: impl AsRef<[u8]>) -> String {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.put(path, &contents);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        plant_file(contents);
        path
    }
}

/// Whether nobody else can read a file: it was made by [`Folder::put_secret`].
fn is_secret(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).unwrap().permissions().mode() & 0o077 == 0
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Left behind at worst.
        let _ = fs::remove_dir_all(&self.0);
    }
}
