//! Many edges in one process, for a soak of more edges than a machine has room for as processes. They are tasks: each
//! has its tunnel and its back-off, as an edge in a process of its own has. The last of them has a backend of its own,
//! which wears connections out.

use std::future::pending;

use grpc_multiplexer_client::{Backend, Edge, HostPort};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::worn;

/// Runs edges `edge-FROM` to the one before `edge-TO`, until the process is killed.
pub(crate) async fn run(server: &str, backend: &str, from: &str, to: &str) -> anyhow::Result<()> {
    let server: HostPort = server.parse()?;
    let (from, to): (usize, usize) = (from.parse()?, to.parse()?);
    let shared = Backend::new(backend.parse()?);
    let mut tasks = JoinSet::new();
    let worn = Backend::new(worn::start(&mut tasks).await?.to_string().parse()?);
    for n in from..to {
        let backend = if n + 1 == to { &worn } else { &shared };
        let edge = Edge::new(
            format!("edge-{n}").parse()?,
            backend.clone(),
            server.clone(),
        );
        tasks.spawn(async move { drop(edge.run(CancellationToken::new()).await) });
    }
    pending().await
}
