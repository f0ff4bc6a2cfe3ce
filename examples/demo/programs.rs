//! Builds the programs that the demo starts.

use std::env::consts::EXE_SUFFIX;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use tokio::process::Command;

const SERVER: &str = "grpc-multiplexer-server";
const EDGE: &str = "grpc-multiplexer-client";
const BACKEND: &str = "example-backend";

/// Where the programs are.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) server: PathBuf,
    pub(crate) edge: PathBuf,
    pub(crate) backend: PathBuf,
}

impl Programs {
    /// Builds them with the profile and into the folder of the demo itself.
    pub(crate) async fn build() -> anyhow::Result<Self> {
        let exe = std::env::current_exe().context("the demo does not know its own path")?;
        let folder = exe.parent().context("the demo lies in no folder")?;
        cargo_build(folder).await?;
        let program = |name| folder.join(format!("{name}{EXE_SUFFIX}"));
        Ok(Self {
            server: program(SERVER),
            edge: program(EDGE),
            backend: program(BACKEND),
        })
    }
}

/// No `-p`: with it, cargo would resolve features anew and compile most dependencies a second time.
async fn cargo_build(folder: &Path) -> anyhow::Result<()> {
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(name) => name,
        None => "release",
    };
    let target = folder
        .parent()
        .context("the demo lies in no target folder")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    // What `cargo run` tells the demo about its package looks to build scripts like a change: ring and all that needs it
    // would be compiled twice.
    for (name, _) in std::env::vars_os() {
        let shown = name.to_string_lossy();
        if shown.starts_with("CARGO_PKG_") || shown.starts_with("CARGO_MANIFEST_") {
            build.env_remove(name);
        }
    }
    let status = build
        .args(["build", "--profile", profile])
        .args(["--bin", SERVER, "--bin", EDGE, "--bin", BACKEND])
        .arg("--manifest-path")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .kill_on_drop(true)
        .status()
        .await
        .context("cannot run cargo")?;
    ensure!(
        status.success(),
        "cargo could not build the programs ({status})"
    );
    Ok(())
}
