//! `grpc-multiplexer-client`: the edge as a process, and questions to a proxy.

use std::convert::Infallible;
use std::process::ExitCode;

use grpc_multiplexer_client::{Edge, PROGRAM, subcommand};
use grpc_multiplexer_process::run;

fn main() -> ExitCode {
    if let Some(answered) = subcommand(std::env::args_os()) {
        return answered;
    }
    run(&PROGRAM, Edge::read, async |edges, stop| {
        let edge = edges.borrow().clone();
        let edge = edge.reloading(edges);
        let servers: Vec<_> = edge.servers().iter().map(ToString::to_string).collect();
        tracing::info!(
            version = %PROGRAM.version,
            client_id = %edge.client_id(),
            multiplexer_address = %servers.join(","),
            grpc_server_address = %edge.backend(),
            "starting"
        );
        edge.run(stop).await;
        tracing::info!("stopped");
        Ok::<_, Infallible>(())
    })
}
