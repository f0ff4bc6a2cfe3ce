//! gRPC's interop test service on tonic, which compresses all messages of a streamed answer or none.

use std::pin::Pin;
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt as _, TryStreamExt as _};
use grpc_multiplexer_proto::testing::test_service_server;
use grpc_multiplexer_proto::testing::{
    BoolValue, EchoStatus, Empty, Payload, ResponseParameters, SimpleRequest, SimpleResponse,
    StreamingInputCallRequest, StreamingInputCallResponse, StreamingOutputCallRequest,
    StreamingOutputCallResponse,
};
use tonic::{Code, Extensions, Request, Response, Status, Streaming};

use crate::flags::Flags;

/// The service; it remembers nothing.
#[derive(Debug)]
pub(crate) struct TestService;

type Answers =
    Pin<Box<dyn Stream<Item = Result<StreamingOutputCallResponse, Status>> + Send + 'static>>;

#[tonic::async_trait]
impl test_service_server::TestService for TestService {
    async fn empty_call(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Ok(Response::new(Empty {}))
    }

    async fn unary_call(
        &self,
        request: Request<SimpleRequest>,
    ) -> Result<Response<SimpleResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        came_as_expected(request.expect_compressed, &extensions)?;
        not_refused(request.response_status)?;
        let mut response = Response::new(SimpleResponse {
            payload: Some(zeros(request.response_size)?),
        });
        if !request.response_compressed.is_some_and(|asked| asked.value) {
            response.disable_compression();
        }
        Ok(response)
    }

    type StreamingOutputCallStream = Answers;

    async fn streaming_output_call(
        &self,
        request: Request<StreamingOutputCallRequest>,
    ) -> Result<Response<Answers>, Status> {
        let request = request.into_inner();
        not_refused(request.response_status.clone())?;
        Ok(Response::new(answers(request).boxed()))
    }

    async fn streaming_input_call(
        &self,
        request: Request<Streaming<StreamingInputCallRequest>>,
    ) -> Result<Response<StreamingInputCallResponse>, Status> {
        let (_, extensions, mut requests) = request.into_parts();
        let mut size = 0;
        while let Some(request) = requests.message().await? {
            came_as_expected(request.expect_compressed, &extensions)?;
            size += request.payload.map_or(0, |payload| payload.body.len());
        }
        Ok(Response::new(StreamingInputCallResponse {
            aggregated_payload_size: i32::try_from(size)
                .map_err(|_| Status::out_of_range(format!("{size} bytes came")))?,
        }))
    }

    type FullDuplexCallStream = Answers;

    async fn full_duplex_call(
        &self,
        request: Request<Streaming<StreamingOutputCallRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let requests = request.into_inner().and_then(async |request| {
            not_refused(request.response_status.clone())?;
            Ok(request)
        });
        Ok(Response::new(
            requests.map_ok(answers).try_flatten().boxed(),
        ))
    }

    type HalfDuplexCallStream = Answers;

    async fn half_duplex_call(
        &self,
        request: Request<Streaming<StreamingOutputCallRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let requests: Vec<_> = request.into_inner().try_collect().await?;
        let each = stream::iter(requests).flat_map(answers);
        Ok(Response::new(each.boxed()))
    }

    async fn unimplemented_call(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Err(Status::unimplemented("as its name says"))
    }
}

/// Takes the flag of the next message, and refuses one that is not as the message says.
fn came_as_expected(expected: Option<BoolValue>, extensions: &Extensions) -> Result<(), Status> {
    let came = extensions.get::<Flags>().and_then(Flags::next);
    match expected {
        Some(expected) if came != Some(expected.value) => Err(Status::invalid_argument(format!(
            "expect_compressed is {}, the flag of the message {came:?}",
            expected.value
        ))),
        _ => Ok(()),
    }
}

fn not_refused(asked: Option<EchoStatus>) -> Result<(), Status> {
    match asked {
        Some(status) if status.code != 0 => {
            Err(Status::new(Code::from(status.code), status.message))
        }
        _ => Ok(()),
    }
}

fn answers(
    request: StreamingOutputCallRequest,
) -> impl Stream<Item = Result<StreamingOutputCallResponse, Status>> {
    stream::iter(request.response_parameters).then(answer)
}

async fn answer(asked: ResponseParameters) -> Result<StreamingOutputCallResponse, Status> {
    if let Ok(interval @ 1..) = u64::try_from(asked.interval_us) {
        tokio::time::sleep(Duration::from_micros(interval)).await;
    }
    Ok(StreamingOutputCallResponse {
        payload: Some(zeros(asked.size)?),
    })
}

fn zeros(size: i32) -> Result<Payload, Status> {
    let size = usize::try_from(size)
        .map_err(|_| Status::invalid_argument(format!("a payload of {size} bytes")))?;
    Ok(Payload {
        r#type: 0,
        body: vec![0; size],
    })
}
