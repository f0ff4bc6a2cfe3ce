//! How an edge reaches a server.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use grpc_multiplexer_process::HostPort;
use grpc_multiplexer_tunnel::{BoxedIo, tune};
use tokio::net::TcpStream;

/// What carries bytes to a server.
#[derive(Clone)]
pub(crate) enum Connector {
    Tcp,
    /// A network that a test made up.
    Simulated(Arc<dyn Fn() -> BoxFuture<'static, io::Result<BoxedIo>> + Send + Sync>),
}

impl Connector {
    /// Connects to `server`, which is given up once it took nothing for `silence`.
    pub(crate) async fn connect(
        &self,
        server: &HostPort,
        silence: Duration,
    ) -> io::Result<BoxedIo> {
        match self {
            Self::Tcp => {
                let socket = TcpStream::connect((server.host(), server.port())).await?;
                tune(&socket, silence)?;
                Ok(Box::new(socket))
            }
            Self::Simulated(connect) => connect().await,
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "Tcp",
            Self::Simulated(_) => "Simulated",
        })
    }
}
