//! Calls of the echo service as bytes, for callers that are no gRPC library.

use prost::Message;

pub(super) const ECHO: &str = "/grpc.multiplexer.examples.v1.EchoService/Echo";
pub(super) const DOWNLOAD: &str = "/grpc.multiplexer.examples.v1.EchoService/ServerStream";
pub(super) const UPLOAD: &str = "/grpc.multiplexer.examples.v1.EchoService/ClientStream";

/// One gRPC message.
pub(super) fn framed(message: &impl Message) -> Vec<u8> {
    let message = message.encode_to_vec();
    let mut framed = vec![0];
    framed.extend((message.len() as u32).to_be_bytes());
    framed.extend(message);
    framed
}
