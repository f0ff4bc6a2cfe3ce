//! A connection of a caller.

use std::net::SocketAddr;

use anyhow::Context as _;
use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::Request;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::backend::WINDOW;

/// Where calls go.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// The edge. Others ignore it.
    pub(crate) client_id: String,
}

/// One connection. Ends when dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) send: SendRequest<Bytes>,
    target: Target,
    _task: JoinSet<()>,
}

impl Connection {
    pub(crate) async fn to(target: &Target) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(target.address).await;
        let socket = socket.with_context(|| format!("nobody at {}", target.address))?;
        socket.set_nodelay(true)?;
        let (send, connection) = Builder::new()
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .initial_max_send_streams(1_000)
            .max_concurrent_reset_streams(100_000)
            // A reader that pauses is not to be its own victim.
            .data_frame_budget(1 << 40)
            .handshake(socket)
            .await?;
        let mut task = JoinSet::new();
        task.spawn(async move { drop(connection.await) });
        Ok(Self {
            send,
            target: target.clone(),
            _task: task,
        })
    }

    pub(crate) async fn many(target: &Target, count: usize) -> anyhow::Result<Vec<Self>> {
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            connections.push(Self::to(target).await?);
        }
        Ok(connections)
    }

    /// The headers of a call.
    pub(crate) fn request(&self, method: &str) -> Request<()> {
        let path = format!("http://{}/bench.Bench/{method}", self.target.address);
        Request::post(path)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("client-id", &self.target.client_id)
            .body(())
            .expect("a method, an address and an id are no mistake")
    }
}
