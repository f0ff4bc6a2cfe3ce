//! A gRPC server in this process as the backend: streams of the tunnel are its sockets, with no TCP in between.
//!
//! tonic takes an [`EdgeIncoming`] where it would take accepted connections. A stream that the other end gave up reads
//! as broken, and never as ended: a server must not take half of what was sent for the whole.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::Stream;
use grpc_multiplexer_tunnel::{LANES, TunnelStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tonic::transport::server::Connected;

use crate::splice::ended_well;

/// Streams that may wait for the server to take them: as many as a tunnel has. A server that runs takes them at once.
const WAITING: usize = LANES;

/// Where the streams go, and where the server finds them.
pub(crate) fn hand_over() -> (mpsc::Sender<EdgeStream>, EdgeIncoming) {
    let (streams, incoming) = mpsc::channel(WAITING);
    (streams, EdgeIncoming(incoming))
}

/// The streams that an in-process edge takes for its server, for tonic's `serve_with_incoming`.
///
/// It ends when the edge does, and every clone of it is gone. Dropped before, the edge lives on, and calls find no backend.
#[derive(Debug)]
pub struct EdgeIncoming(mpsc::Receiver<EdgeStream>);

impl Stream for EdgeIncoming {
    type Item = Result<EdgeStream, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|stream| stream.map(Ok))
    }
}

/// One stream of the tunnel, as a server's socket. HTTP/2 without TLS is spoken over it.
///
/// Dropped before it was shut down, it tells the other end that the backend broke the connection.
pub struct EdgeStream {
    /// `None` only while it is dropped.
    stream: Option<TunnelStream>,
    read: u64,
    end: End,
}

/// What is known of how the other half ended.
enum End {
    /// There may be more.
    NotYet,
    /// There is no more, and the server's word on that is awaited.
    Asked(Pin<Box<dyn Future<Output = bool> + Send>>),
    /// Whether all that was sent came.
    Told(bool),
}

impl EdgeStream {
    pub(crate) fn new(stream: TunnelStream) -> Self {
        Self {
            stream: Some(stream),
            read: 0,
            end: End::NotYet,
        }
    }

    fn stream(&mut self) -> Pin<&mut TunnelStream> {
        Pin::new(self.stream.as_mut().expect("only drop takes the stream"))
    }

    /// Reads what has come. At the end of the bytes it begins to ask how they ended.
    fn poll_bytes(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(self.stream().poll_read(cx, buffer))?;
        let came = buffer.filled().len() - before;
        self.read += came as u64;
        if came == 0 && buffer.remaining() > 0 {
            let (peer, read) = (self.stream().peer_end(), self.read);
            self.end = End::Asked(Box::pin(async move { ended_well(&peer, read).await }));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for EdgeStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let End::NotYet = self.end {
            ready!(self.poll_bytes(cx, buffer))?;
        }
        if let End::Asked(word) = &mut self.end {
            self.end = End::Told(ready!(word.as_mut().poll(cx)));
        }
        match self.end {
            End::Told(false) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for EdgeStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}

impl Drop for EdgeStream {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            stream.backend_lost();
        }
    }
}

impl Connected for EdgeStream {
    /// Who calls is known to the server of the tunnel, and not here.
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl fmt::Debug for EdgeStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EdgeStream").field(&self.stream).finish()
    }
}

#[cfg(test)]
mod tests;
