//! A backend that does what wears a connection out, on the h2 crate: frames without bytes, tiny ones without end, and
//! connections that end after a call.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::SendStream;
use h2::server::{Builder, SendResponse};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// An answer, and the connection takes no other call.
pub(crate) const LAST: &str = "/soak.Worn/Last";
/// An answer with [`EMPTY_FRAMES`] frames without bytes in it, and no other call: at more a connection ends.
pub(crate) const EMPTY: &str = "/soak.Worn/Empty";
/// As many as a peer on h2 bears in a connection's life, less a few.
pub(crate) const EMPTY_FRAMES: usize = 90;
/// An answer with [`TINY_FRAMES`] frames of six bytes.
pub(crate) const TINY: &str = "/soak.Worn/Tiny";
/// They fit into a stream's window.
pub(crate) const TINY_FRAMES: usize = 3_000;
/// Bytes of each.
const TINY_BYTES: &[u8] = b"\0\0\0\0\x01\0";

/// Listens on a free port.
pub(crate) async fn start(tasks: &mut JoinSet<()>) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((socket, _)) = listener.accept().await {
            connections.spawn(serve(socket));
            while connections.try_join_next().is_some() {}
        }
    });
    Ok(address)
}

async fn serve(socket: TcpStream) {
    let _ = socket.set_nodelay(true);
    let Ok(mut connection) = Builder::new().handshake(socket).await else {
        return;
    };
    let mut calls = JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        let path = request.uri().path().to_owned();
        if path == LAST || path == EMPTY {
            connection.graceful_shutdown();
        }
        calls.spawn(answer(path, respond));
        while calls.try_join_next().is_some() {}
    }
}

/// A caller that left is no matter.
async fn answer(path: String, mut respond: SendResponse<Bytes>) -> Option<()> {
    let mut response = Response::new(());
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", grpc);
    let mut stream = respond.send_response(response, false).ok()?;
    match path.as_str() {
        EMPTY => (0..EMPTY_FRAMES).try_for_each(|_| stream.send_data(Bytes::new(), false)),
        TINY => {
            for n in 0..TINY_FRAMES {
                send(&mut stream, Bytes::from_static(TINY_BYTES)).await?;
                if n % 100 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
    .ok()?;
    let ok = (
        HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    );
    stream.send_trailers(HeaderMap::from_iter([ok])).ok()
}

/// One frame, once it may go.
async fn send(stream: &mut SendStream<Bytes>, bytes: Bytes) -> Option<()> {
    stream.reserve_capacity(bytes.len());
    while stream.capacity() < bytes.len() {
        std::future::poll_fn(|cx| stream.poll_capacity(cx))
            .await?
            .ok()?;
    }
    stream.send_data(bytes, false).ok()
}
