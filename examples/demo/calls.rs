//! One call of each kind, through the tunnel. Each answer is checked.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures::{SinkExt as _, StreamExt as _, stream};
use grpc_multiplexer_examples::echo::echo_service_client::EchoServiceClient;
use grpc_multiplexer_examples::echo::{
    BidiStreamRequest, ClientStreamRequest, EchoRequest, ServerStreamRequest,
};
use grpc_multiplexer_proto::CLIENT_ID_METADATA_KEY;
use tokio::time::{Instant, timeout};
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::PATIENCE;

type Stub = EchoServiceClient<InterceptedService<Channel, ClientIdMetadata>>;

/// All that a caller has to do: name the edge.
#[derive(Clone, Debug)]
struct ClientIdMetadata(MetadataValue<tonic::metadata::Ascii>);

impl Interceptor for ClientIdMetadata {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let id = self.0.clone();
        request.metadata_mut().insert(CLIENT_ID_METADATA_KEY, id);
        Ok(request)
    }
}

/// Makes the calls in turn and reports each that passed.
pub(crate) async fn make(
    channel: Channel,
    client_id: &str,
    report: impl Fn(String),
) -> anyhow::Result<()> {
    let metadata = ClientIdMetadata(client_id.parse()?);
    let mut stub = EchoServiceClient::with_interceptor(channel, metadata);
    report(timed("unary", unary(&mut stub)).await?);
    report(timed("server streaming", server_streaming(&mut stub)).await?);
    report(timed("client streaming", client_streaming(&mut stub)).await?);
    report(timed("bidirectional", bidirectional(&mut stub)).await?);
    Ok(())
}

async fn unary(stub: &mut Stub) -> anyhow::Result<String> {
    let text = "hello, whoever is behind that NAT";
    let request = EchoRequest {
        text: text.to_owned(),
        ..Default::default()
    };
    let response = stub.echo(request).await?.into_inner();
    same("text", response.text.as_str(), text)?;
    Ok(format!("sent and got \"{text}\""))
}

async fn server_streaming(stub: &mut Stub) -> anyhow::Result<String> {
    let request = ServerStreamRequest {
        text: "tick".to_owned(),
        count: 5,
        ..Default::default()
    };
    let mut responses = stub.server_stream(request).await?.into_inner();
    for index in 0..5 {
        let response = responses
            .message()
            .await?
            .with_context(|| format!("the stream ended after {index} of 5 responses"))?;
        same("text", response.text.as_str(), "tick")?;
        same("index", response.index, index)?;
    }
    same("end of stream", responses.message().await?, None)?;
    Ok("asked once, got 5 responses in order".to_owned())
}

async fn client_streaming(stub: &mut Stub) -> anyhow::Result<String> {
    let chunk = bytes::Bytes::from(vec![7; 1 << 20]);
    let requests = (0..3).map(move |index: u32| ClientStreamRequest {
        text: index.to_string(),
        payload: chunk.clone(),
        ..Default::default()
    });
    let response = stub
        .client_stream(stream::iter(requests))
        .await?
        .into_inner();
    same("messages", response.messages, 3)?;
    same("total bytes", response.total_bytes, 3 << 20)?;
    same("texts", response.text.as_str(), "0,1,2")?;
    Ok("sent 3 messages of 1 MiB, got their sum".to_owned())
}

/// Each message is sent only after the answer to the one before: both directions are open at once.
async fn bidirectional(stub: &mut Stub) -> anyhow::Result<String> {
    let (mut sender, requests) = futures::channel::mpsc::channel(1);
    let mut responses = stub.bidi_stream(requests).await?.into_inner();
    for index in 0..3 {
        let text = format!("ping {index}");
        let request = BidiStreamRequest {
            text: text.clone(),
            ..Default::default()
        };
        sender.send(request).await?;
        let response = responses
            .message()
            .await?
            .with_context(|| format!("the stream ended before the answer to message {index}"))?;
        same("text", response.text, text)?;
    }
    drop(sender);
    ensure!(
        responses.next().await.is_none(),
        "the stream went on after the half-close"
    );
    Ok("3 times sent one message and waited for its answer, then half-closed".to_owned())
}

async fn timed(
    kind: &str,
    call: impl Future<Output = anyhow::Result<String>>,
) -> anyhow::Result<String> {
    let begin = Instant::now();
    let what = timeout(PATIENCE, call)
        .await
        .context("no answer in time")
        .and_then(|answer| answer)
        .with_context(|| format!("the {kind} call went wrong"))?;
    Ok(format!("{kind:<17}{:>9}  {what}", millis(begin.elapsed())))
}

fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

fn same<T: Debug + PartialEq>(what: &str, got: T, expected: T) -> anyhow::Result<()> {
    ensure!(
        got == expected,
        "{what}: got {got:?}, expected {expected:?}"
    );
    Ok(())
}
