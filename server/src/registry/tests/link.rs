//! A tunnel in memory whose edge lives, falls silent, or ends.

use grpc_multiplexer_tunnel::{Arrival, Established, Session, TunnelConfig, accept};
use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};
use tokio::task::JoinSet;

/// On the original's first stream: its line.
const LINE: &[u8] = b"\0\0\0\x01\0\0\0\x01\0\0\0\x02a\n";
/// On the same stream: a ping of the session within.
const PING: &[u8] = b"\0\0\0\0\0\0\0\x01\0\0\0\x0c\0\x02\0\x01\0\0\0\0\0\0\0\x01";

/// The server's end of a tunnel to an edge of the original's, which lives as long as it pings: it cannot be asked.
pub(super) struct Link {
    pub(super) session: Session,
    far: DuplexStream,
    work: JoinSet<()>,
}

impl Link {
    /// One whose edge was just heard.
    pub(super) async fn up() -> Self {
        let (near, mut far) = duplex(4096);
        far.write_all(LINE).await.unwrap();
        let config = TunnelConfig::default();
        let Ok(Arrival::Legacy(edge)) = accept(Box::new(near), &config).await else {
            panic!("no edge");
        };
        let Established { session, task, .. } = edge.take(&config);
        let mut work = JoinSet::new();
        work.spawn(async {
            task.run().await;
        });
        Self { session, far, work }
    }

    /// Its edge shows a sign of life, unless the tunnel has ended.
    pub(super) async fn ping(&mut self) {
        let _ = self.far.write_all(PING).await;
    }

    /// The tunnel ends.
    pub(super) fn end(&mut self) {
        self.work.abort_all();
    }
}
