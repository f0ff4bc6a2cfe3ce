//! Everything that `example-backend` serves: [`Echo`], health and reflection.

use tonic::codec::CompressionEncoding;
use tonic::service::{LayerExt as _, Routes};

use crate::echo::echo_service_server::EchoServiceServer;
use crate::metadata::EchoMetadataLayer;
use crate::service::Echo;

/// Encoded `FileDescriptorSet` of the echo service and of what it imports, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/echo.bin"));

/// The echo service with gzip and no limit on message sizes, health that says SERVING, and reflection v1 and v1alpha.
///
/// # Errors
/// When a descriptor set compiled into this crate cannot be decoded.
pub async fn routes(echo: Echo) -> Result<Routes, tonic_reflection::server::Error> {
    let echo = EchoServiceServer::new(echo)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(usize::MAX)
        .max_encoding_message_size(usize::MAX);
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<EchoServiceServer<Echo>>().await;
    Ok(Routes::new(EchoMetadataLayer.named_layer(echo))
        .add_service(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?))
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // So that callers without the protos can read the details of a status.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
}
