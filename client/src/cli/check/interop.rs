//! What a backend with gRPC's interop test service can show: calls of every kind, unmodified.
//!
//! *Source:* gRPC, "Interoperability Test Case Descriptions", whose sizes and texts these are.

use std::fmt::Debug;
use std::time::Duration;

use futures::channel::mpsc;
use futures::{SinkExt as _, stream};
use grpc_multiplexer_proto::testing::test_service_client::TestServiceClient;
use grpc_multiplexer_proto::testing::{
    EchoStatus, Empty, Payload, ResponseParameters, SimpleRequest, StreamingInputCallRequest,
    StreamingOutputCallRequest, StreamingOutputCallResponse,
};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Request, Streaming};

use super::ToEdge;
use super::backend::is_unserved;
use super::report::{Found, Report, Verdict};
use crate::cli::output::End;
use crate::cli::status::{Origin, Trouble, name, origin};

const LARGE_REQUEST: usize = 271_828;
const LARGE_RESPONSE: i32 = 314_159;
const REQUESTS: [usize; 4] = [27_182, 8, 1_828, 45_904];
const RESPONSES: [i32; 4] = [31_415, 9, 2_653, 58_979];
const INITIAL: &str = "x-grpc-test-echo-initial";
const TRAILING: &str = "x-grpc-test-echo-trailing-bin";
/// The time of a call that the backend would leave open: long enough for the first answer on a slow link.
const SHORT: Duration = Duration::from_secs(2);

type Stub = TestServiceClient<ToEdge>;
type Outcome = Result<Found, Trouble>;

/// Makes the calls, unless the backend does not have the service.
pub(super) async fn all(report: &mut Report<'_>, edge: &ToEdge) -> Result<(), End> {
    let stub = TestServiceClient::new(edge.clone())
        .max_decoding_message_size(usize::MAX)
        .max_encoding_message_size(usize::MAX);
    if report
        .step("empty_unary", empty_unary(stub.clone()))
        .await?
        == Verdict::Skipped
    {
        return Ok(());
    }
    report
        .step("large_unary", large_unary(stub.clone()))
        .await?;
    report
        .step("client_streaming", client_streaming(stub.clone()))
        .await?;
    report
        .step("server_streaming", server_streaming(stub.clone()))
        .await?;
    report.step("ping_pong", ping_pong(stub.clone())).await?;
    report
        .step("custom_metadata", custom_metadata(stub.clone()))
        .await?;
    report.step("status", status(stub.clone())).await?;
    report.step("cancel", cancel(stub.clone())).await?;
    report.step("timeout", time_out(stub)).await?;
    Ok(())
}

async fn empty_unary(mut stub: Stub) -> Outcome {
    match stub.empty_call(Empty {}).await {
        Ok(_) => Ok(Found::ok("an empty message, and an empty answer")),
        Err(status) if is_unserved(&status) => Ok(Found::skipped(
            "the backend does not serve grpc.testing.TestService, so nor are further calls made",
        )),
        Err(status) => Err(Trouble::of(&status)),
    }
}

async fn large_unary(mut stub: Stub) -> Outcome {
    let answer = stub.unary_call(large()).await?.into_inner();
    same(
        "the answer's size",
        size(answer.payload.as_ref()),
        LARGE_RESPONSE,
    )?;
    Ok(Found::ok(format!(
        "{LARGE_REQUEST} bytes there, {LARGE_RESPONSE} back"
    )))
}

async fn client_streaming(mut stub: Stub) -> Outcome {
    let messages = REQUESTS.map(|bytes| StreamingInputCallRequest {
        payload: payload(bytes),
        ..StreamingInputCallRequest::default()
    });
    let answer = stub.streaming_input_call(stream::iter(messages)).await?;
    let counted = answer.into_inner().aggregated_payload_size;
    same("what the backend counted", counted, 74_922)?;
    Ok(Found::ok("4 messages there, one answer"))
}

async fn server_streaming(mut stub: Stub) -> Outcome {
    let request = StreamingOutputCallRequest {
        response_parameters: RESPONSES.map(sized).to_vec(),
        ..StreamingOutputCallRequest::default()
    };
    let mut answers = stub.streaming_output_call(request).await?.into_inner();
    for wanted in RESPONSES {
        let answer = answers.message().await?;
        let came = answer.map(|answer| size(answer.payload.as_ref()));
        same("an answer's size", came, Some(wanted))?;
    }
    ended(&mut answers).await?;
    Ok(Found::ok("one message there, 4 answers"))
}

async fn ping_pong(mut stub: Stub) -> Outcome {
    let mut call = Duplex::start(&mut stub, |_| {}).await?;
    for round in 1..REQUESTS.len() {
        call.play(round).await?;
    }
    drop(call.pings);
    ended(&mut call.pongs).await?;
    Ok(Found::ok(
        "4 messages, each after the answer to the one before",
    ))
}

async fn custom_metadata(mut stub: Stub) -> Outcome {
    let text = MetadataValue::from_static("test_initial_metadata_value");
    let bytes = MetadataValue::from_bytes(&[0xab, 0xab, 0xab]);
    let call = Duplex::start(&mut stub, |request| {
        let metadata = request.metadata_mut();
        metadata.insert(INITIAL, text.clone());
        metadata.insert_bin(TRAILING, bytes.clone());
    });
    let Duplex {
        pings,
        headers,
        mut pongs,
    } = call.await?;
    drop(pings);
    ended(&mut pongs).await?;
    let trailers = pongs.trailers().await?.unwrap_or_default();
    same(INITIAL, headers.get(INITIAL), Some(&text))?;
    same(TRAILING, trailers.get_bin(TRAILING), Some(&bytes))?;
    Ok(Found::ok("text came back as header, and bytes as trailer"))
}

async fn status(mut stub: Stub) -> Outcome {
    let wanted = EchoStatus {
        code: Code::Unknown.into(),
        // Whitespace, and characters of more than one byte, which travel encoded.
        message: "\t\ntest with whitespace\r\nand Unicode BMP \u{263a} and non-BMP \u{1f608}\t\n"
            .to_owned(),
    };
    let request = SimpleRequest {
        response_status: Some(wanted.clone()),
        ..SimpleRequest::default()
    };
    let Err(came) = stub.unary_call(request).await else {
        return Err(wrong(
            "the call ended with OK, and not with the status asked for",
        ));
    };
    if origin(&came) != Origin::Backend {
        return Err(came.into());
    }
    same("the code", name(came.code()), name(Code::Unknown))?;
    same("the message", came.message(), wanted.message.as_str())?;
    Ok(Found::ok("code and message came as the backend sent them"))
}

/// The backend's side of it cannot be seen from here; that later calls go well can.
async fn cancel(mut stub: Stub) -> Outcome {
    drop(Duplex::start(&mut stub, |_| {}).await?);
    stub.empty_call(Empty {}).await?;
    Ok(Found::ok(
        "a call was given up after its first answer, and the next one went well",
    ))
}

async fn time_out(mut stub: Stub) -> Outcome {
    let call = Duplex::start(&mut stub, |request| request.set_timeout(SHORT));
    match call.await?.pongs.message().await {
        Err(status) if status.code() == Code::DeadlineExceeded => Ok(Found::ok(format!(
            "a call with {SHORT:?} to live ended with DEADLINE_EXCEEDED"
        ))),
        Err(status) => Err(status.into()),
        Ok(_) => Err(wrong("the call did not end with DEADLINE_EXCEEDED")),
    }
}

/// A call with both sides open, past its first round.
struct Duplex {
    pings: mpsc::Sender<StreamingOutputCallRequest>,
    headers: MetadataMap,
    pongs: Streaming<StreamingOutputCallResponse>,
}

impl Duplex {
    async fn start(
        stub: &mut Stub,
        prepare: impl FnOnce(&mut Request<mpsc::Receiver<StreamingOutputCallRequest>>),
    ) -> Result<Self, Trouble> {
        let (mut pings, upload) = mpsc::channel(1);
        // There is room for it.
        let _ = pings.try_send(ping(0));
        let mut request = Request::new(upload);
        prepare(&mut request);
        let (headers, pongs, _) = stub.full_duplex_call(request).await?.into_parts();
        let mut call = Self {
            pings,
            headers,
            pongs,
        };
        call.pong(0).await?;
        Ok(call)
    }

    async fn play(&mut self, round: usize) -> Result<(), Trouble> {
        // A call that is over takes nothing, and tells why where its answer would be.
        let _ = self.pings.send(ping(round)).await;
        self.pong(round).await
    }

    async fn pong(&mut self, round: usize) -> Result<(), Trouble> {
        let came = self.pongs.message().await?;
        let came = came.map(|answer| size(answer.payload.as_ref()));
        same("an answer's size", came, Some(RESPONSES[round]))
    }
}

fn ping(round: usize) -> StreamingOutputCallRequest {
    StreamingOutputCallRequest {
        response_parameters: vec![sized(RESPONSES[round])],
        payload: payload(REQUESTS[round]),
        ..StreamingOutputCallRequest::default()
    }
}

async fn ended(answers: &mut Streaming<StreamingOutputCallResponse>) -> Result<(), Trouble> {
    match answers.message().await? {
        None => Ok(()),
        Some(_) => Err(wrong("there were more answers than were asked for")),
    }
}

fn large() -> SimpleRequest {
    SimpleRequest {
        response_size: LARGE_RESPONSE,
        payload: payload(LARGE_REQUEST),
        ..SimpleRequest::default()
    }
}

fn payload(bytes: usize) -> Option<Payload> {
    Some(Payload {
        body: vec![0; bytes],
        ..Payload::default()
    })
}

fn sized(size: i32) -> ResponseParameters {
    ResponseParameters {
        size,
        ..ResponseParameters::default()
    }
}

fn size(payload: Option<&Payload>) -> i32 {
    let bytes = payload.map_or(0, |payload| payload.body.len());
    bytes.try_into().unwrap_or(i32::MAX)
}

fn same<T: PartialEq + Debug>(what: &str, came: T, wanted: T) -> Result<(), Trouble> {
    if came == wanted {
        return Ok(());
    }
    Err(wrong(format!("{what} is {came:?}, and not {wanted:?}")))
}

fn wrong(what: impl Into<String>) -> Trouble {
    Trouble::new(
        what,
        "make the same call to the backend itself: if it goes well there, something on the way changes it",
    )
}
