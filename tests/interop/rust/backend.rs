//! `interop-backend`: gRPC's interop test service on tonic, and all that `example-backend` has. Prints its address
//! once it listens.

mod flags;
mod service;
mod wire;

use grpc_multiplexer_examples::{Echo, routes};
use grpc_multiplexer_proto::testing::test_service_server::TestServiceServer;
use tokio::net::TcpListener;
use tonic::codec::CompressionEncoding;
use tonic::service::LayerExt as _;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tower::layer::layer_fn;

use crate::service::TestService;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "scripts read the address from here")]
async fn main() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("interop-backend listening on {}", listener.local_addr()?);
    let testing = TestServiceServer::new(TestService)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip);
    let testing = layer_fn(wire::Wire).named_layer(testing);
    Server::builder()
        .add_routes(routes(Echo::default()).await?.add_service(testing))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
        .await?;
    Ok(())
}
