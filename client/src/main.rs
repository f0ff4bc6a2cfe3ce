//! `grpc-multiplexer-client`: the edge as a process, and questions to a proxy.

use std::process::ExitCode;

use grpc_multiplexer_client::{EdgeConfig, EdgeEnd, PROGRAM, subcommand};
use grpc_multiplexer_process::{Admin, AdminError, Finished, Readiness, families, run};

fn main() -> ExitCode {
    if let Some(answered) = subcommand(std::env::args_os()) {
        return answered;
    }
    run(&PROGRAM, EdgeConfig::read, async |configs, stop| {
        let EdgeConfig {
            edge,
            admin_listener,
        } = configs.borrow().clone();
        let readiness = Readiness::default();
        let mut families = families();
        let edge = edge
            .reloading(configs)
            .observed(&mut families, readiness.clone());
        let admin = Admin::serve(admin_listener.bind().await?, readiness, families)?;
        let servers: Vec<_> = edge.servers().iter().map(ToString::to_string).collect();
        tracing::info!(
            version = %PROGRAM.version,
            client_id = %edge.client_id(),
            multiplexer_address = %servers.join(","),
            grpc_server_address = %edge.backend(),
            admin_listener = admin.addresses().map(tracing::field::display),
            "starting"
        );
        let finished = match edge.run(stop).await {
            EdgeEnd::Superseded => Finished::Superseded,
            _ => Finished::Drained,
        };
        tracing::info!("stopped");
        Ok::<_, AdminError>(finished)
    })
}
