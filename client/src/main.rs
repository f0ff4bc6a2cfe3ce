//! `grpc-multiplexer-client`: the edge as a process.

use std::process::ExitCode;

use anyhow::Context as _;
use grpc_multiplexer_client::{Edge, PROGRAM, ProcessConfig};
use grpc_multiplexer_process::{EXIT_DRAINED, EXIT_FAILED, EXIT_USAGE, Signals, init_logging};
use tokio::task::JoinSet;

fn main() -> ExitCode {
    let leaves = PROGRAM
        .leaves(std::env::args_os())
        .unwrap_or_else(|error| error.exit());
    let config = match ProcessConfig::read(&leaves) {
        Ok(config) => config,
        Err(mistakes) => {
            eprintln!("{} cannot start:\n{mistakes}", PROGRAM.name);
            return EXIT_USAGE.into();
        }
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{} cannot start: {error}", PROGRAM.name);
            return EXIT_FAILED.into();
        }
    };
    let result = runtime.block_on(run(config));
    // A name lookup under way must not hold the process.
    runtime.shutdown_background();
    match result {
        Ok(code) => code.into(),
        Err(error) => {
            tracing::error!(error = &*error, "failed");
            EXIT_FAILED.into()
        }
    }
}

async fn run(config: ProcessConfig) -> anyhow::Result<u8> {
    init_logging(config.log_level, config.log_format)?;
    let signals = Signals::listen().context("cannot listen for signals")?;
    let (finish, now) = (signals.finish(), signals.now());
    let mut tasks = JoinSet::new();
    tasks.spawn(signals.run());
    let servers: Vec<_> = config
        .edge
        .servers
        .iter()
        .map(ToString::to_string)
        .collect();
    tracing::info!(
        version = %PROGRAM.version,
        client_id = %config.edge.client_id,
        multiplexer_address = %servers.join(","),
        grpc_server_address = %config.edge.backend.address(),
        "starting"
    );
    let edge = Edge::new(config.edge);
    tokio::select! {
        biased;
        () = now.cancelled() => Ok(EXIT_FAILED),
        () = edge.run(finish) => {
            tracing::info!("stopped");
            Ok(EXIT_DRAINED)
        }
    }
}
