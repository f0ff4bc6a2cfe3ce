//! `grpc-multiplexer-server`: the server as a process, and what makes its files.

use std::process::ExitCode;

use grpc_multiplexer_process::{Admin, Finished, Readiness, Threads, run};
use grpc_multiplexer_server::{PROGRAM, Server, ServerConfig, subcommand};

/// Faster than the C library's at what calls take and give back all the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if let Some(done) = subcommand(std::env::args_os()) {
        return done;
    }
    run(
        &PROGRAM,
        ServerConfig::read,
        async |configs, mut families, stop| {
            let config = configs.borrow().clone();
            let live = configs.clone();
            let readiness = Readiness::default();
            let threads = Threads::start(config.threads)?;
            let mut server = Server::start(&config)
                .await?
                .on_threads(threads.clone())
                .reloading(configs)
                .observed(&mut families, readiness.clone());
            let admin = config.admin_listener.bind(server.sockets()).await?;
            let tls = move || live.borrow().admin_listener.tls().cloned();
            let admin = Admin::serve(admin, &threads, readiness, families, tls)?;
            tracing::info!(
                version = %PROGRAM.version,
                proxy_listener = %server.proxy_addresses(),
                multiplexer_listener = %server.multiplexer_addresses(),
                operator_listener = server.operator_addresses().map(tracing::field::display),
                admin_listener = admin.addresses().map(tracing::field::display),
                "listening"
            );
            server.run(stop).await.map(|()| Finished::Drained)
        },
    )
}
