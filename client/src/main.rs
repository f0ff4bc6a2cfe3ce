//! `grpc-multiplexer-client`: the edge as a process.

use std::convert::Infallible;
use std::process::ExitCode;

use grpc_multiplexer_client::{Edge, EdgeConfig, PROGRAM};
use grpc_multiplexer_process::run;

fn main() -> ExitCode {
    run(&PROGRAM, EdgeConfig::read, async |config, stop| {
        let servers: Vec<_> = config.servers.iter().map(ToString::to_string).collect();
        tracing::info!(
            version = %PROGRAM.version,
            client_id = %config.client_id,
            multiplexer_address = %servers.join(","),
            grpc_server_address = %config.backend.address(),
            "starting"
        );
        Edge::new(config).run(stop).await;
        tracing::info!("stopped");
        Ok::<_, Infallible>(())
    })
}
