//! `grpc-multiplexer-server`: the server as a process.

use std::process::ExitCode;

use grpc_multiplexer_process::run;
use grpc_multiplexer_server::{PROGRAM, Server, ServerConfig};

fn main() -> ExitCode {
    run(&PROGRAM, ServerConfig::read, async |configs, stop| {
        let config = configs.borrow().clone();
        let server = Server::bind(&config.proxy_listener, &config.multiplexer_listener)
            .await?
            .reloading(configs);
        tracing::info!(
            version = %PROGRAM.version,
            proxy_listener = %server.proxy_addresses(),
            multiplexer_listener = %server.multiplexer_addresses(),
            "listening"
        );
        server.run(stop).await
    })
}
