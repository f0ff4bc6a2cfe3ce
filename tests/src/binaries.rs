//! The binaries under test, built by whoever needs them first.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Path of a binary of this workspace, built by the same cargo and in the same profile as the test.
///
/// # Panics
///
/// When it does not build.
pub fn binary(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(build).join(name)
}

fn build() -> PathBuf {
    // target/<profile>/deps/<test>
    let test = std::env::current_exe().expect("a test has a path");
    let folder = test
        .ancestors()
        .find(|folder| folder.join("deps").is_dir())
        .expect("tests are run by cargo");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // The same packages and dependencies as `cargo test --workspace`, so that nothing is compiled twice.
    cargo
        .args(["build", "--quiet", "--workspace", "--bins", "--tests"])
        .arg("--target-dir")
        .arg(folder.parent().expect("a profile's folder has a parent"))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")));
    // What cargo tells a test about its package looks to build scripts like a change: without this, every run of a test
    // compiles ring and all that needs it twice.
    for (name, _) in std::env::vars_os() {
        let shown = name.to_string_lossy();
        if shown.starts_with("CARGO_PKG_") || shown.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name);
        }
    }
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.status().expect("cargo runs");
    assert!(status.success(), "the binaries do not build");
    folder.to_owned()
}
