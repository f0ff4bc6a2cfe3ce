//! Where programs are.

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context as _, ensure};
use grpc_multiplexer_tests::Process;

/// The folder of server and edge, if it is not this program's.
pub(crate) static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();

/// This program.
pub(crate) fn own() -> anyhow::Result<PathBuf> {
    Ok(env::current_exe()?)
}

/// A program of the product.
pub(crate) fn of_product(name: &str) -> anyhow::Result<PathBuf> {
    let program = match PROGRAMS.get() {
        Some(folder) => folder.join(name),
        None => own()?.with_file_name(name),
    };
    ensure!(
        program.is_file(),
        "no {}: benches/run builds it",
        program.display()
    );
    Ok(program)
}

/// The backend on grpc-go, if it was built.
pub(crate) fn backend_of_go() -> Option<PathBuf> {
    let program = own().ok()?.with_file_name("bench-backend-go");
    program.is_file().then_some(program)
}

/// A program of others, where a shell would find it, where Debian has servers, or where cargo installs.
pub(crate) fn found(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let cargo = env::home_dir().unwrap_or_default().join(".cargo/bin");
    let more = [Path::new("/usr/sbin").to_owned(), cargo];
    let mut programs = env::split_paths(&path)
        .chain(more)
        .map(|folder| folder.join(name));
    programs.find(|program| program.is_file())
}

/// Where a process says that it listens.
pub(crate) async fn listening(process: &Process) -> anyhow::Result<SocketAddr> {
    const SAID: &str = "listening on ";
    let line = process.says(SAID).await;
    let (_, address) = line.split_once(SAID).context("it said so")?;
    Ok(address.trim().parse()?)
}
