//! `example-backend`: a gRPC server to put behind an edge. Prints its address once it listens.

use anyhow::Context as _;
use clap::{Arg, Command};
use grpc_multiplexer_examples::{Echo, routes};
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let matches = Command::new("example-backend")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A gRPC server to put behind an edge: echo, health, reflection")
        .arg(
            Arg::new("listen")
                .long("listen")
                .value_name("HOST:PORT")
                .default_value("localhost:50051")
                .help("Where to listen; port 0 picks a free one"),
        )
        .get_matches();
    let address = matches
        .get_one::<String>("listen")
        .expect("the option has a default");
    serve(address).await
}

async fn serve(address: &str) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    announce(&listener)?;
    Server::builder()
        .add_routes(routes(Echo::default()).await?)
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
        .await?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "scripts read the address from here")]
fn announce(listener: &TcpListener) -> anyhow::Result<()> {
    println!("example-backend listening on {}", listener.local_addr()?);
    Ok(())
}
