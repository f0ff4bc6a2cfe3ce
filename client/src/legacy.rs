//! What an edge does beyond splicing when its server is of the original's.
//!
//! That server makes every call of every caller on one HTTP/2 connection, the only stream that it ever opens on a
//! tunnel. It leaves `:authority` empty, since the original's edge makes calls of its own; many backends refuse such a
//! call, so [`rewrite`] fills in what the backend wants to see. And when that connection has ended, for whatever reason,
//! the server has no way to begin another: the tunnel must end with it, and the next one starts afresh.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod rewrite;

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use grpc_multiplexer_tunnel::{BoxedIo, TunnelStream};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::sleep;

use crate::Backend;
use crate::splice::{copy, last_words};
use rewrite::Rewrite;

/// What the backend may take to say the rest once the server's half has ended.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// Bytes that one read takes.
const BUFFER: usize = 64 * 1024;

/// Copies both ways until the backend has said all, or either side is gone. `hear` is told what the backend says first,
/// or how it broke off.
pub(crate) async fn splice(
    stream: TunnelStream,
    io: BoxedIo,
    backend: &Backend,
    hear: impl FnOnce(Result<&[u8], &io::Error>),
) {
    let (from_server, mut to_server) = tokio::io::split(stream);
    let (mut from_backend, mut to_backend) = tokio::io::split(io);
    let rewrite = Rewrite::new(backend.scheme(), backend.authority());
    let up = async {
        rewritten(from_server, &mut to_backend, rewrite).await?;
        to_backend.shutdown().await?;
        sleep(LAST_WORDS).await;
        Ok(())
    };
    let down = async {
        copy(&mut from_backend, &mut to_server, hear)
            .await
            .map_err(|_| io::ErrorKind::BrokenPipe)?;
        to_server.shutdown().await
    };
    let ended: io::Result<()> = tokio::select! {
        biased;
        ended = up => ended,
        ended = down => ended,
    };
    match ended {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            tracing::warn!(%error, "what the server sent cannot be passed on");
        }
        Err(error) => tracing::debug!(%error, "stream ended"),
    }
}

/// Ends some time after `target` failed, so that the other direction can end by itself.
async fn rewritten(
    mut source: impl AsyncRead + Unpin,
    target: &mut (impl AsyncWrite + Unpin),
    mut rewrite: Rewrite,
) -> io::Result<()> {
    let mut input = BytesMut::new();
    let mut output = BytesMut::new();
    loop {
        input.reserve(BUFFER);
        if source.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
        rewrite.push(&mut input, &mut output)?;
        let passed = async {
            target.write_all_buf(&mut output).await?;
            target.flush().await
        };
        if let Err(error) = passed.await {
            last_words().await;
            return Err(error);
        }
    }
}
