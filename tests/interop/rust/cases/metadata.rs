//! Cases of what is beside the messages: metadata and statuses.

use anyhow::Context as _;
use futures::{StreamExt as _, stream};
use grpc_multiplexer_proto::testing::{EchoStatus, SimpleRequest, StreamingOutputCallRequest};
use tonic::metadata::{AsciiMetadataValue, BinaryMetadataValue, MetadataMap};
use tonic::{Code, IntoStreamingRequest as _, Request};

use super::{LARGE_ANSWER, LARGE_REQUEST, failed, large, same, wanted};
use crate::peer::Peer;

pub(super) async fn custom_metadata(peer: &Peer) -> anyhow::Result<()> {
    let mut request = Request::new(large());
    sent(request.metadata_mut());
    // Of a unary call tonic shows headers and trailers as one.
    let answer = peer.stub().unary_call(request).await?;
    initial_came_back(answer.metadata())?;
    trailing_came_back(answer.metadata())?;

    let request = wanted(&[LARGE_ANSWER], Some(LARGE_REQUEST));
    let mut requests = stream::iter([request]).into_streaming_request();
    sent(requests.metadata_mut());
    let answers = peer.stub().full_duplex_call(requests).await?;
    initial_came_back(answers.metadata())?;
    let mut answers = answers.into_inner();
    same(answers.by_ref().count().await, 1)?;
    trailing_came_back(&answers.trailers().await?.unwrap_or_default())
}

fn sent(metadata: &mut MetadataMap) {
    let initial = AsciiMetadataValue::from_static("test_initial_metadata_value");
    metadata.insert("x-grpc-test-echo-initial", initial);
    let trailing = BinaryMetadataValue::from_bytes(&[0xab, 0xab, 0xab]);
    metadata.insert_bin("x-grpc-test-echo-trailing-bin", trailing);
}

fn initial_came_back(metadata: &MetadataMap) -> anyhow::Result<()> {
    let value = metadata.get("x-grpc-test-echo-initial");
    let value = value.context("no initial metadata")?.to_str()?;
    same(value, "test_initial_metadata_value")
}

fn trailing_came_back(metadata: &MetadataMap) -> anyhow::Result<()> {
    let value = metadata.get_bin("x-grpc-test-echo-trailing-bin");
    let value = value.context("no trailing metadata")?.to_bytes()?;
    same(&value[..], &[0xab, 0xab, 0xab])
}

pub(super) async fn status(peer: &Peer, message: &str) -> anyhow::Result<()> {
    let asked = Some(EchoStatus {
        code: Code::Unknown.into(),
        message: message.to_owned(),
    });
    let unary = SimpleRequest {
        response_status: asked.clone(),
        ..SimpleRequest::default()
    };
    let duplex = StreamingOutputCallRequest {
        response_status: asked,
        ..StreamingOutputCallRequest::default()
    };
    let unary = failed(peer.stub().unary_call(unary).await)?;
    same((unary.code(), unary.message()), (Code::Unknown, message))?;
    let call = peer.stub().full_duplex_call(stream::iter([duplex])).await;
    let duplex = match call {
        Ok(answers) => failed(answers.into_inner().message().await)?,
        Err(at_once) => at_once,
    };
    same((duplex.code(), duplex.message()), (Code::Unknown, message))
}
