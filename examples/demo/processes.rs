//! The three processes: started, known to be ready by what they print, gone when the demo is.

mod watchdog;

use std::fmt::Write as _;
use std::process::Stdio;

use anyhow::{Context as _, bail};
use futures::future::select_all;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader, Lines};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::PATIENCE;
use crate::programs::Programs;

pub(crate) use self::watchdog::Watchdog;

/// The processes started so far.
#[derive(Debug)]
pub(crate) struct Demo {
    programs: Programs,
    show_logs: bool,
    running: Vec<(&'static str, Child)>,
    /// One reader per process: a full pipe would stop it.
    readers: JoinSet<()>,
}

/// The addresses that the server listens on.
#[derive(Debug)]
pub(crate) struct ServerAddresses {
    pub(crate) proxy: String,
    pub(crate) multiplexer: String,
}

impl Demo {
    pub(crate) fn new(programs: Programs, show_logs: bool) -> Self {
        Self {
            programs,
            show_logs,
            running: Vec::new(),
            readers: JoinSet::new(),
        }
    }

    /// Starts the backend and returns its address.
    pub(crate) async fn start_backend(&mut self) -> anyhow::Result<String> {
        let mut command = Command::new(&self.programs.backend);
        command.args(["--listen", "127.0.0.1:0"]);
        command.stdout(Stdio::piped());
        let line = self.start("backend", command, "listening on ").await?;
        after(&line, "listening on ")
    }

    /// Starts the server on free ports and returns its addresses.
    pub(crate) async fn start_server(&mut self) -> anyhow::Result<ServerAddresses> {
        let mut command = Command::new(&self.programs.server);
        command
            .args(["--proxy-listener", "127.0.0.1:0"])
            .args(["--multiplexer-listener", "127.0.0.1:0"]);
        let line = self.start("server", logging(command), "listening").await?;
        Ok(ServerAddresses {
            proxy: after(&line, " proxy_listener=")?,
            multiplexer: after(&line, " multiplexer_listener=")?,
        })
    }

    /// Starts the edge and waits until its tunnel is up.
    pub(crate) async fn start_edge(
        &mut self,
        client_id: &str,
        server: &str,
        backend: &str,
    ) -> anyhow::Result<()> {
        let mut command = Command::new(&self.programs.edge);
        command
            .args(["--client-id", client_id])
            .args(["--multiplexer-address", server])
            .args(["--grpc-server-address", backend]);
        let ready = format!("connected client_id={client_id}");
        self.start("edge", logging(command), &ready).await?;
        Ok(())
    }

    /// Starts a process and returns the first line that it prints with `ready` in it.
    async fn start(
        &mut self,
        name: &'static str,
        mut command: Command,
        ready: &str,
    ) -> anyhow::Result<String> {
        let mut child = command
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {:?}", command.as_std().get_program()))?;
        let mut output = Output::of(name, &mut child, self.show_logs)?;
        let line = output.wait_for(ready).await?;
        self.readers.spawn(async move { output.drain().await });
        self.running.push((name, child));
        Ok(line)
    }

    /// Waits until one of the processes ends, which none should.
    pub(crate) async fn any_exit(&mut self) -> anyhow::Result<()> {
        let exits = self.running.iter_mut().map(|(name, child)| {
            Box::pin(async move {
                let status = child.wait().await?;
                bail!("the {name} ended ({status})")
            })
        });
        select_all(exits).await.0
    }
}

/// Asks for the lines that the demo reads, whatever the environment says.
fn logging(mut command: Command) -> Command {
    command
        .args(["--log-level", "info", "--log-format", "pretty"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// The word after `prefix`, up to a space or, where there are several addresses, a comma.
fn after(line: &str, prefix: &str) -> anyhow::Result<String> {
    let (_, rest) = line
        .split_once(prefix)
        .with_context(|| format!("no{prefix} in: {line}"))?;
    let end = rest.find([' ', ',']).unwrap_or(rest.len());
    Ok(rest[..end].to_owned())
}

/// What a process prints.
struct Output {
    name: &'static str,
    lines: Lines<BufReader<Box<dyn AsyncRead + Send + Unpin>>>,
    show: bool,
}

impl Output {
    fn of(name: &'static str, child: &mut Child, show: bool) -> anyhow::Result<Self> {
        let pipe: Box<dyn AsyncRead + Send + Unpin> =
            match (child.stdout.take(), child.stderr.take()) {
                (Some(stdout), _) => Box::new(stdout),
                (None, Some(stderr)) => Box::new(stderr),
                (None, None) => bail!("the output of the {name} is not read"),
            };
        let lines = BufReader::new(pipe).lines();
        Ok(Self { name, lines, show })
    }

    async fn wait_for(&mut self, ready: &str) -> anyhow::Result<String> {
        let mut seen = String::new();
        let found = timeout(PATIENCE, async {
            while let Some(line) = self.next().await {
                if line.contains(ready) {
                    return Some(line);
                }
                writeln!(seen, "  {line}").expect("writing to a string never fails");
            }
            None
        })
        .await;
        match found {
            Ok(Some(line)) => Ok(line),
            Ok(None) => bail!("the {} ended before it was ready:\n{seen}", self.name),
            Err(_) => bail!("the {} is not ready after {PATIENCE:?}:\n{seen}", self.name),
        }
    }

    async fn drain(&mut self) {
        while self.next().await.is_some() {}
    }

    async fn next(&mut self) -> Option<String> {
        let line = self.lines.next_line().await.ok().flatten()?;
        if self.show {
            eprintln!("{:>7} | {line}", self.name);
        }
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_several_addresses_is_taken() {
        let line = "INFO listening version=0.1.0 proxy_listener=127.0.0.1:1,[::1]:1 multiplexer_listener=127.0.0.1:2";
        assert_eq!(after(line, " proxy_listener=").unwrap(), "127.0.0.1:1");
        assert_eq!(
            after(line, " multiplexer_listener=").unwrap(),
            "127.0.0.1:2"
        );
        assert!(after(line, " admin_listener=").is_err());
    }
}
