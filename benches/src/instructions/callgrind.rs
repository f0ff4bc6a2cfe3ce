//! Processes under callgrind, which counts their instructions, and whoever asks it how many there were.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use grpc_multiplexer_tests::{DEADLINE, Folder, isolated};
use tokio::time::timeout;

use crate::programs::{found, of_product};

/// Where it is to be had.
const FROM: &str = "apt-get install valgrind";

/// Has the C library copy with instructions that count once for each 16 or 32 bytes. `rep movsb`, which it would take for
/// longer pieces, counts once for each byte: copies would be all that one sees.
const COPIES: &str = "glibc.cpu.hwcaps=-ERMS";

/// Valgrind, and a folder for all that it writes.
#[derive(Debug)]
pub(super) struct Callgrind {
    valgrind: PathBuf,
    vgdb: PathBuf,
    folder: Folder,
}

impl Callgrind {
    pub(super) fn found() -> anyhow::Result<Self> {
        let program = |name| found(name).with_context(|| format!("no {name}: {FROM}"));
        Ok(Self {
            valgrind: program("valgrind")?,
            vgdb: program("vgdb")?,
            folder: Folder::new("bench-callgrind"),
        })
    }

    /// What starts a program of the product under it.
    pub(super) fn command(&self, program: &str) -> anyhow::Result<Command> {
        let mut command = isolated(&self.valgrind);
        command.env("GLIBC_TUNABLES", COPIES);
        command.args(["--tool=callgrind", &self.prefix()]);
        command.arg(format!("--callgrind-out-file={}", self.out("%p").display()));
        command.arg(of_product(program)?);
        Ok(command)
    }

    /// The counter of a process that was started so.
    pub(super) fn counter(&self, pid: u32) -> Counter<'_> {
        Counter {
            callgrind: self,
            pid,
            dumps: 0,
        }
    }

    /// Where its pipes are. A process that is killed leaves them behind.
    fn prefix(&self) -> String {
        format!("--vgdb-prefix={}", self.folder.0.join("vgdb").display())
    }

    fn out(&self, of: &str) -> PathBuf {
        self.folder.0.join(format!("out.{of}"))
    }
}

/// Counts the instructions of one process.
#[derive(Debug)]
pub(super) struct Counter<'a> {
    callgrind: &'a Callgrind,
    pid: u32,
    dumps: usize,
}

impl Counter<'_> {
    /// Counts from now on.
    pub(super) async fn start(&self) -> anyhow::Result<()> {
        self.ask("zero").await
    }

    /// How many there were since.
    pub(super) async fn stop(&mut self) -> anyhow::Result<u64> {
        self.ask("dump").await?;
        self.dumps += 1;
        let dump = format!("{}.{}", self.pid, self.dumps);
        let dump = self.callgrind.out(&dump);
        total(&dump).with_context(|| format!("no total in {}", dump.display()))
    }

    async fn ask(&self, what: &str) -> anyhow::Result<()> {
        let mut vgdb = tokio::process::Command::new(&self.callgrind.vgdb);
        vgdb.args([&self.callgrind.prefix(), &format!("--pid={}", self.pid)]);
        vgdb.arg(what).kill_on_drop(true);
        let output = timeout(DEADLINE, vgdb.output()).await;
        let output = output.with_context(|| format!("vgdb does not {what}"))??;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "vgdb does not {what}: {said}");
        Ok(())
    }
}

fn total(dump: &Path) -> Option<u64> {
    let dump = fs::read_to_string(dump).ok()?;
    dump.lines().find_map(in_line)
}

fn in_line(line: &str) -> Option<u64> {
    line.strip_prefix("totals: ")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_has_a_total() {
        let folder = Folder::new("bench-callgrind");
        let dump = |text| total(Path::new(&folder.put("dump", text)));
        assert_eq!(
            dump("events: Ir\nfn=(1) x\n5 1\n\ntotals: 1234\n"),
            Some(1234)
        );
        assert_eq!(dump("events: Ir\n"), None);
    }
}
