//! `demo`: three real processes on this machine, and calls of all four kinds through the tunnel between them.
//!
//! It builds what it starts, so that `cargo run --release --bin demo` works on a fresh clone. Each answer is checked;
//! any difference ends the demo with a message that says what differed. Nothing here uses the multiplexer's own
//! crates but the discovery stubs: the demo is a caller like any other.
#![expect(clippy::print_stdout, reason = "the output is what the demo is for")]

mod calls;
mod discovery;
mod hints;
mod processes;
mod programs;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Arg, ArgAction, Command};
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};

use crate::discovery::Discovery;
use crate::processes::{Demo, ServerAddresses, Watchdog};
use crate::programs::Programs;

/// The client id of the demo's edge.
const EDGE: &str = "rainbow";
/// Longer than any step takes on a busy machine, the build apart.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::main]
async fn main() -> ExitCode {
    let matches = command().get_matches();
    let result = run(matches.get_flag("once"), matches.get_flag("logs")).await;
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn command() -> Command {
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .action(ArgAction::SetTrue)
            .help(help)
    };
    Command::new("demo")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Starts a server, an edge and a backend, and calls the backend through the tunnel")
        .arg(flag(
            "once",
            "End after the calls: 0 when every answer was right",
        ))
        .arg(flag("logs", "Show what the three processes log"))
}

async fn run(once: bool, logs: bool) -> anyhow::Result<()> {
    let mut running = tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        running = show(logs) => running?,
    };
    if once {
        return Ok(());
    }
    println!("{}", hints::lines(&running.proxy, EDGE));
    tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => Ok(()),
        exit = running.demo.any_exit() => exit,
    }
}

/// What stays up once everything was shown.
struct Running {
    demo: Demo,
    proxy: String,
    _watchdog: Watchdog,
}

async fn show(logs: bool) -> anyhow::Result<Running> {
    let programs = Programs::build().await?;
    let mut demo = Demo::new(programs, logs);

    println!("\nThree processes");
    let backend = demo.start_backend().await?;
    println!("  backend  {backend:<16}  a gRPC server that only the edge dials");
    let ServerAddresses { proxy, multiplexer } = demo.start_server().await?;
    println!("  server   {proxy:<16}  for callers");
    println!("           {multiplexer:<16}  for edges");

    let channel = connect(&proxy).await?;
    let mut discovery = Discovery::watch(channel.clone()).await?;
    demo.start_edge(EDGE, &multiplexer, &backend).await?;
    let watchdog = Watchdog::start(&demo)?;
    println!("  edge     {EDGE:<16}  dials the server, serves calls from the backend");

    println!("\nWatch, open since before the edge started");
    println!("  {}", discovery.connected(EDGE).await?);
    println!("\nCalls to {proxy} with the metadata client-id: {EDGE}");
    calls::make(channel, EDGE, |line| println!("  ok  {line}")).await?;
    println!("\nEdges");
    println!("{}", discovery.list(EDGE).await?);
    Ok(Running {
        demo,
        proxy,
        _watchdog: watchdog,
    })
}

async fn connect(address: &str) -> anyhow::Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    timeout(PATIENCE, endpoint.connect())
        .await
        .context("no answer in time")
        .and_then(|connected| Ok(connected?))
        .with_context(|| format!("cannot connect to the server's proxy address {address}"))
}
