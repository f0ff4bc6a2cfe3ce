//! One stream of the tunnel, spliced to the backend: bytes both ways, each half closed when its source is.
//!
//! It never looks into the bytes, but shows the backend's first to whoever can name a mistake in its address. A half is closed
//! towards the backend only when the server said that it was complete: a reset must not look like an orderly end, or a
//! backend might act on half a call.

use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use grpc_multiplexer_tunnel::{BoxedIo, PeerEnd, StreamEnd, TunnelStream};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};

/// Bytes on their way in one direction.
pub(crate) const BUFFER: usize = 64 * 1024;
/// How long the server's word on a stream's end may trail the end itself: it travels on the control stream.
const WORD_OF_END: Duration = Duration::from_secs(10);
/// How long the other direction goes on when the backend takes no more bytes: it ends by itself, with the last that it said.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Why a splice stopped before both halves were closed.
#[derive(Debug)]
pub(crate) enum Cut {
    /// The backend's connection broke.
    Backend,
    /// The server gave the stream up, or the tunnel is gone.
    Server,
}

/// Copies until both halves are closed or one side is gone. `hear` is told what the backend says first, or how it broke off.
pub(crate) async fn splice(
    stream: TunnelStream,
    backend: BoxedIo,
    hear: impl FnOnce(Result<&[u8], &io::Error>),
) {
    let peer = stream.peer_end();
    let (mut from_server, mut to_server) = tokio::io::split(stream);
    let (mut from_backend, mut to_backend) = tokio::io::split(backend);
    let up = async {
        let copied = copy(&mut from_server, &mut to_backend, |_| {}).await;
        whole(copied, &peer).await?;
        to_backend.shutdown().await.map_err(|_| Cut::Backend)
    };
    let down = async {
        let copied = copy(&mut from_backend, &mut to_server, hear).await;
        close_server(copied, &mut to_server).await
    };
    if let Err(Cut::Backend) = both(&peer, up, down).await {
        from_server.unsplit(to_server).backend_lost();
    }
}

/// Runs both directions to their ends, or until the server gives the stream up. One task polls them, `up` first.
pub(crate) async fn both(
    peer: &PeerEnd,
    up: impl Future<Output = Result<(), Cut>>,
    down: impl Future<Output = Result<(), Cut>>,
) -> Result<(), Cut> {
    tokio::select! {
        biased;
        cut = given_up(peer) => Err(cut),
        result = async { tokio::try_join!(biased; up, down) } => result.map(|_| ()),
    }
}

/// Whether what the server sent was copied to its orderly end.
pub(crate) async fn whole(copied: Result<u64, Side>, peer: &PeerEnd) -> Result<(), Cut> {
    match copied {
        Ok(bytes) if ended_well(peer, bytes).await => Ok(()),
        Ok(_) => Err(Cut::Server),
        Err(side) => Err(cut(side).await),
    }
}

/// What it is to the stream that bytes to the backend could not be copied.
pub(crate) async fn cut(side: Side) -> Cut {
    match side {
        Side::Source => Cut::Server,
        Side::Target => {
            last_words().await;
            Cut::Backend
        }
    }
}

/// Closes the half towards the server where the backend closed its own.
pub(crate) async fn close_server(
    copied: Result<u64, Side>,
    to_server: &mut (impl AsyncWrite + Unpin),
) -> Result<(), Cut> {
    match copied {
        Ok(_) => to_server.shutdown().await.map_err(|_| Cut::Server),
        Err(Side::Source) => Err(Cut::Backend),
        Err(Side::Target) => Err(Cut::Server),
    }
}

/// Waits where the backend takes no more bytes: what it said before it hung up can still be read.
pub(crate) async fn last_words() {
    sleep(LAST_WORDS).await;
}

/// Waits until the server gives the stream up. Never returns for an orderly end.
async fn given_up(peer: &PeerEnd) -> Cut {
    if let StreamEnd::Fin { .. } = peer.wait().await {
        std::future::pending().await
    }
    Cut::Server
}

/// Whether the server closed its half in order, and all of its bytes came.
pub(crate) async fn ended_well(peer: &PeerEnd, came: u64) -> bool {
    let end = timeout(WORD_OF_END, peer.wait()).await;
    matches!(end, Ok(StreamEnd::Fin { bytes }) if bytes == came)
}

/// Which side of a copy failed.
pub(crate) enum Side {
    Source,
    Target,
}

/// Copies until `source` ends, and counts. All that is there goes on at once, and is flushed before more is waited for. `hear`
/// is told the first bytes, none if there are none.
pub(crate) async fn copy(
    source: &mut (impl AsyncRead + Unpin),
    target: &mut (impl AsyncWrite + Unpin),
    hear: impl FnOnce(Result<&[u8], &io::Error>),
) -> Result<u64, Side> {
    let mut hear = Some(hear);
    let failed = |_: io::Error| Side::Target;
    let mut buffer = Vec::with_capacity(BUFFER);
    let mut copied = 0;
    loop {
        buffer.clear();
        let mut end = None;
        while end.is_none() && buffer.len() < BUFFER {
            let read = match futures::poll!(pin!(source.read_buf(&mut buffer))) {
                Poll::Ready(read) => read,
                Poll::Pending if buffer.is_empty() => {
                    target.flush().await.map_err(failed)?;
                    source.read_buf(&mut buffer).await
                }
                Poll::Pending => break,
            };
            end = match read {
                Ok(1..) => None,
                end => Some(end),
            };
        }
        if let Some(hear) = hear.take() {
            match &end {
                Some(Err(error)) if buffer.is_empty() => hear(Err(error)),
                _ => hear(Ok(&buffer)),
            }
        }
        target.write_all(&buffer).await.map_err(failed)?;
        copied += buffer.len() as u64;
        if let Some(end) = end {
            return end.map(|_| copied).map_err(|_| Side::Source);
        }
    }
}

#[cfg(test)]
mod tests;
