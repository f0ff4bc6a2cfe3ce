//! `grpc-multiplexer-client`: the edge as a process, and questions to a proxy.

use std::process::ExitCode;

use grpc_multiplexer_client::{Edge, EdgeConfig, EdgeEnd, PROGRAM, Upgrade, subcommand};
use grpc_multiplexer_process::{
    Admin, AdminError, Finished, HandoverError, Readiness, Sockets, Threads, run,
};
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Faster than the C library's at what calls take and give back all the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if let Some(answered) = subcommand(std::env::args_os()) {
        return answered;
    }
    run(&PROGRAM, EdgeConfig::read, work)
}

/// Why the process failed.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error("--upgrade-socket")]
    Upgrade(#[from] HandoverError),
}

async fn work(
    configs: watch::Receiver<EdgeConfig>,
    mut families: Registry,
    stop: CancellationToken,
) -> Result<Finished, Failed> {
    let EdgeConfig {
        edge,
        admin_listener,
        upgrade_socket,
    } = configs.borrow().clone();
    let live = configs.clone();
    let readiness = Readiness::default();
    let edge = edge
        .reloading(configs)
        .observed(&mut families, readiness.clone());
    let mut upgrade = match &upgrade_socket {
        Some(path) => Some(Upgrade::begin(path).await?),
        None => None,
    };
    let mut alone = Sockets::default();
    let sockets = upgrade.as_mut().map_or(&mut alone, Upgrade::sockets);
    let admin = admin_listener.bind(sockets).await?;
    let tls = move || live.borrow().admin_listener.tls().cloned();
    let admin = Admin::serve(admin, &Threads::default(), readiness, families, tls)?;
    say_start(&edge, &admin);
    let end = match upgrade {
        Some(upgrade) => edge.run_upgrading(upgrade, stop).await,
        None => edge.run(stop).await,
    };
    tracing::info!("stopped");
    match end {
        EdgeEnd::NotTakenOver(error) => Err(error.into()),
        EdgeEnd::Superseded => Ok(Finished::Superseded),
        _ => Ok(Finished::Drained),
    }
}

fn say_start(edge: &Edge, admin: &Admin) {
    let servers: Vec<_> = edge.servers().iter().map(ToString::to_string).collect();
    tracing::info!(
        version = %PROGRAM.version,
        client_id = %edge.client_id(),
        multiplexer_address = %servers.join(","),
        grpc_server_address = %edge.backend(),
        admin_listener = admin.addresses().map(tracing::field::display),
        "starting"
    );
}
