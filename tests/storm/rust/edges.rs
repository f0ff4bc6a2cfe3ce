//! Many edges in one process, before one backend. They are tasks: each has its tunnel, its slots and its back-off, as an
//! edge in a process of its own has.

use std::future::pending;
use std::time::Duration;

use grpc_multiplexer_client::{Backend, Edge, HostPort};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

/// So many are started at a time: each looks first whether its backend is there, with a socket at both ends.
const WAVE: usize = 500;
/// Between two waves.
const PAUSE: Duration = Duration::from_millis(50);

/// Runs edges `NAME-0`, `NAME-1` and so on, until the process is killed.
pub(crate) async fn run(server: &str, name: &str, count: usize) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let backend = Backend::new(listener.local_addr()?.to_string().parse()?);
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(listener));
    let server: HostPort = server.parse()?;
    for n in 0..count {
        if n > 0 && n % WAVE == 0 {
            sleep(PAUSE).await;
        }
        let id = format!("{name}-{n}").parse()?;
        let edge = Edge::new(id, backend.clone(), server.clone());
        tasks.spawn(async move { drop(edge.run(CancellationToken::new()).await) });
    }
    pending().await
}

/// The backend of all: gRPC's health service.
async fn serve(listener: TcpListener) {
    let (_, health) = tonic_health::server::health_reporter();
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = Server::builder().add_service(health);
    server
        .serve_with_incoming(incoming)
        .await
        .expect("it listens");
}
