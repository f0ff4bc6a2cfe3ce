//! gRPC's interop cases, by their published names.

mod metadata;
mod streams;
mod unary;

use std::fmt::Debug;

use anyhow::{Context as _, bail, ensure};
use grpc_multiplexer_proto::testing::{
    Empty, Payload, ResponseParameters, SimpleRequest, StreamingOutputCallRequest,
};
use tonic::Status;

use crate::peer::Peer;

const REQUESTS: [usize; 4] = [27182, 8, 1828, 45904];
const ANSWERS: [i32; 4] = [31415, 9, 2653, 58979];
const LARGE_REQUEST: usize = 271_828;
const LARGE_ANSWER: i32 = 314_159;
const SPECIAL_MESSAGE: &str = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n";

/// Runs the case of this name.
pub(crate) async fn run(name: &str, peer: &Peer) -> anyhow::Result<()> {
    match name {
        "empty_unary" => unary::empty_unary(peer).await,
        "large_unary" => unary::large_unary(peer.stub(), large()).await,
        "client_compressed_unary" => unary::client_compressed_unary(peer).await,
        "server_compressed_unary" => unary::server_compressed_unary(peer).await,
        "client_streaming" => streams::client_streaming(peer).await,
        "server_streaming" => streams::server_streaming(peer).await,
        "server_compressed_streaming" => streams::server_compressed_streaming(peer).await,
        "ping_pong" => streams::ping_pong(peer).await,
        "empty_stream" => streams::empty_stream(peer).await,
        "custom_metadata" => metadata::custom_metadata(peer).await,
        "status_code_and_message" => metadata::status(peer, "test status message").await,
        "special_status_message" => metadata::status(peer, SPECIAL_MESSAGE).await,
        "unimplemented_method" => {
            unary::unimplemented(peer.stub().unimplemented_call(Empty {}).await)
        }
        "unimplemented_service" => {
            unary::unimplemented(peer.unimplemented_stub().unimplemented_call(Empty {}).await)
        }
        "rpc_soak" => unary::rpc_soak(peer).await,
        "channel_soak" => unary::channel_soak(peer).await,
        _ => bail!("there is no such case"),
    }
}

fn large() -> SimpleRequest {
    SimpleRequest {
        response_size: LARGE_ANSWER,
        payload: Some(zeros(LARGE_REQUEST)),
        ..SimpleRequest::default()
    }
}

/// A request for answers of these sizes.
fn wanted(sizes: &[i32], payload: Option<usize>) -> StreamingOutputCallRequest {
    let each = |&size| ResponseParameters {
        size,
        ..ResponseParameters::default()
    };
    StreamingOutputCallRequest {
        response_parameters: sizes.iter().map(each).collect(),
        payload: payload.map(zeros),
        ..StreamingOutputCallRequest::default()
    }
}

fn zeros(size: usize) -> Payload {
    Payload {
        r#type: 0,
        body: vec![0; size],
    }
}

fn sized(payload: Option<&Payload>, size: i32) -> anyhow::Result<()> {
    let body = &payload.context("an answer without a payload")?.body;
    same(i32::try_from(body.len())?, size)?;
    ensure!(
        body.iter().all(|&byte| byte == 0),
        "the payload is not all zeros"
    );
    Ok(())
}

fn failed<T>(answer: Result<T, Status>) -> anyhow::Result<Status> {
    answer.err().context("the call did not fail")
}

fn same<T: PartialEq + Debug>(got: T, expected: T) -> anyhow::Result<()> {
    ensure!(got == expected, "got {got:?}, expected {expected:?}");
    Ok(())
}
