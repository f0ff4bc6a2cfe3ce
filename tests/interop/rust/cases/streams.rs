//! Cases of several messages, up, down or both.

use anyhow::Context as _;
use futures::{TryStreamExt as _, stream};
use grpc_multiplexer_proto::testing::{BoolValue, StreamingInputCallRequest};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::CompressionEncoding::Gzip;

use super::{ANSWERS, REQUESTS, same, sized, wanted, zeros};
use crate::flags::Flags;
use crate::peer::Peer;

pub(super) async fn client_streaming(peer: &Peer) -> anyhow::Result<()> {
    let requests = REQUESTS.map(|size| StreamingInputCallRequest {
        payload: Some(zeros(size)),
        expect_compressed: None,
    });
    let mut stub = peer.stub();
    let answer = stub.streaming_input_call(stream::iter(requests)).await?;
    same(answer.into_inner().aggregated_payload_size, 74922)
}

pub(super) async fn server_streaming(peer: &Peer) -> anyhow::Result<()> {
    let request = wanted(&ANSWERS, None);
    let answers = peer.stub().streaming_output_call(request).await?;
    let answers: Vec<_> = answers.into_inner().try_collect().await?;
    same(answers.len(), ANSWERS.len())?;
    for (answer, size) in answers.iter().zip(ANSWERS) {
        sized(answer.payload.as_ref(), size)?;
    }
    Ok(())
}

pub(super) async fn server_compressed_streaming(peer: &Peer) -> anyhow::Result<()> {
    let flags = Flags::default();
    let mut stub = peer.watched_stub(&flags).accept_compressed(Gzip);
    let sizes = [31415, 92653];
    let mut request = wanted(&sizes, None);
    for (parameters, value) in request.response_parameters.iter_mut().zip([true, false]) {
        parameters.compressed = Some(BoolValue { value });
    }
    let mut answers = stub.streaming_output_call(request).await?.into_inner();
    for (size, compressed) in sizes.into_iter().zip([true, false]) {
        let answer = answers.message().await?.context("too few answers")?;
        sized(answer.payload.as_ref(), size)?;
        same(flags.next(), Some(compressed))?;
    }
    same(answers.message().await?, None)
}

pub(super) async fn ping_pong(peer: &Peer) -> anyhow::Result<()> {
    let (sender, requests) = mpsc::channel(1);
    let mut stub = peer.stub();
    let call = stub.full_duplex_call(ReceiverStream::new(requests));
    let ping = |index: usize| wanted(&ANSWERS[index..=index], Some(REQUESTS[index]));
    sender.send(ping(0)).await?;
    let mut answers = call.await?.into_inner();
    for (index, size) in ANSWERS.into_iter().enumerate() {
        let answer = answers.message().await?.context("too few answers")?;
        sized(answer.payload.as_ref(), size)?;
        if index + 1 < ANSWERS.len() {
            sender.send(ping(index + 1)).await?;
        }
    }
    drop(sender);
    same(answers.message().await?, None)
}

pub(super) async fn empty_stream(peer: &Peer) -> anyhow::Result<()> {
    let call = peer.stub().full_duplex_call(stream::empty()).await?;
    same(call.into_inner().message().await?, None)
}
