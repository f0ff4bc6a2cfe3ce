//! `bench backend ADDRESS [WINDOW]`: the backend of all paths, an ordinary tonic server. Messages are bytes, so that nothing of what it
//! costs is protobuf.

mod codec;
mod down;
mod up;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Status, Streaming};
use tower::{Service, service_fn};

pub(crate) use self::codec::Raw;
pub(crate) use self::down::Down;
pub(crate) use self::up::Received;

/// What a stream, and a connection, may send ahead: more than a line of 100 MB/s has under way in 50 ms.
pub(crate) const WINDOW: u32 = 8 * 1024 * 1024;
/// Calls on one connection at a time. No benchmark is to wait for them.
const CALLS: u32 = 100_000;

/// Serves until the process is killed, with windows of so many bytes.
pub(crate) async fn run(address: &str, window: u32) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await?;
    eprintln!("listening on {}", listener.local_addr()?);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder()
        .initial_stream_window_size(window)
        .initial_connection_window_size(window)
        .max_concurrent_streams(CALLS)
        .add_service(Bench)
        .serve_with_incoming(incoming)
        .await?;
    Ok(())
}

/// `bench.Bench`.
#[derive(Debug, Clone)]
struct Bench;

impl NamedService for Bench {
    const NAME: &'static str = "bench.Bench";
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl Service<Request<Body>> for Bench {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        Box::pin(async move {
            let mut grpc = Grpc::new(Raw);
            Ok(match request.uri().path() {
                "/bench.Bench/Unary" => grpc.unary(service_fn(echo), request).await,
                "/bench.Bench/Down" => grpc.server_streaming(service_fn(down), request).await,
                "/bench.Bench/Up" => grpc.client_streaming(service_fn(up), request).await,
                "/bench.Bench/Bidi" => grpc.streaming(service_fn(bidi), request).await,
                // Answers once the caller half-closes.
                "/bench.Bench/Hold" => grpc.client_streaming(service_fn(up), request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

async fn echo(request: tonic::Request<Bytes>) -> Result<tonic::Response<Bytes>, Status> {
    Ok(tonic::Response::new(request.into_inner()))
}

async fn down(request: tonic::Request<Bytes>) -> Result<tonic::Response<down::Messages>, Status> {
    let down = Down::read(request.into_inner());
    let down = down.ok_or_else(|| Status::invalid_argument("not what Down takes"))?;
    Ok(tonic::Response::new(down.messages()))
}

async fn up(request: tonic::Request<Streaming<Bytes>>) -> Result<tonic::Response<Bytes>, Status> {
    let received = Received::all(request.into_inner()).await?;
    Ok(tonic::Response::new(received.written()))
}

async fn bidi(
    request: tonic::Request<Streaming<Bytes>>,
) -> Result<tonic::Response<Streaming<Bytes>>, Status> {
    Ok(tonic::Response::new(request.into_inner()))
}
