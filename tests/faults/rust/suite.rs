//! Cases that other suites of this project are.

use std::collections::HashMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::process::Command;

use crate::score::Score;

/// The last lines that a failed test said are enough to find it.
const SAID: usize = 5;

/// The test programs, built when the first is needed.
#[derive(Debug, Default)]
pub(crate) struct Suites(HashMap<String, PathBuf>);

impl Suites {
    /// Runs one test, as `cargo test` would.
    pub(crate) async fn test(&mut self, suite: &str, test: &str) -> anyhow::Result<Score> {
        if self.0.is_empty() {
            self.0 = build().await?;
        }
        let program = self
            .0
            .get(suite)
            .with_context(|| format!("no suite {suite}"))?;
        let mut command = Command::new(program);
        command
            .args(["--exact", test])
            .current_dir(top().join("tests"));
        // All is built.
        command
            .env("CARGO", "true")
            .env("CARGO_MANIFEST_DIR", top().join("tests"));
        let (well, said) = outcome(&mut command).await?;
        ensure!(
            !well || said.contains("1 passed"),
            "there is no test {test} in {suite}"
        );
        Ok(judged(well, &said))
    }
}

/// Runs a command of this project, with arguments.
pub(crate) async fn command(command: &[&str]) -> anyhow::Result<Score> {
    let (program, args) = command.split_first().context("a command")?;
    let mut command = outside(program);
    command.args(args).current_dir(top());
    let (well, said) = outcome(&mut command).await?;
    Ok(judged(well, &said))
}

/// Where the binaries are that were built with a hook.
pub(crate) async fn hooked(hook: &str) -> anyhow::Result<PathBuf> {
    let mut command = outside("tests/faults/patched");
    command.arg(format!("hooks/{hook}.patch"));
    let (well, said) = outcome(&mut command).await?;
    ensure!(well, "no build with {hook}: {said}");
    Ok(said.lines().next().context("a folder")?.into())
}

/// A program of this project, in the network that the harness was started from: it may have something to install.
fn outside(program: &str) -> Command {
    let program = top().join(program);
    let Ok(network) = env::var("FAULTS_OUTSIDE") else {
        return Command::new(program);
    };
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={network}")).arg(program);
    command
}

fn judged(well: bool, said: &str) -> Score {
    let mut score = Score::default();
    let last = said.lines().rev().take(SAID).map(str::to_owned);
    if !well {
        score.problems = last.collect();
        score.problems.reverse();
    }
    score
}

async fn outcome(command: &mut Command) -> anyhow::Result<(bool, String)> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = output
        .await
        .with_context(|| format!("{command:?} cannot be run"))?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    Ok((output.status.success(), said.into_owned()))
}

/// Builds what `cargo test --workspace` builds, and says where each suite is.
async fn build() -> anyhow::Result<HashMap<String, PathBuf>> {
    let mut command = Command::new("cargo");
    command.args([
        "build",
        "--workspace",
        "--bins",
        "--tests",
        "--message-format=json",
    ]);
    command.current_dir(top()).stderr(Stdio::inherit());
    let output = command.output().await.context("cargo cannot be run")?;
    ensure!(output.status.success(), "the suites do not build");
    let messages = String::from_utf8(output.stdout)?;
    let suite = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        let name = message["target"]["name"].as_str()?.to_owned();
        let is_test = message["target"]["kind"][0] == "test";
        let program = message["executable"].as_str().filter(|_| is_test)?.into();
        Some((name, program))
    };
    Ok(messages.lines().filter_map(suite).collect())
}

/// The project's top folder.
fn top() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().expect("tests/ is below it")
}
