//! gRPC's interop test service, right or wrong in one thing.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::stream::{self, Stream, StreamExt as _, TryStreamExt as _};
use grpc_multiplexer_proto::testing::test_service_server;
use grpc_multiplexer_proto::testing::test_service_server::TestServiceServer;
use grpc_multiplexer_proto::testing::{
    Empty, Payload, SimpleRequest, SimpleResponse, StreamingInputCallRequest,
    StreamingInputCallResponse, StreamingOutputCallRequest, StreamingOutputCallResponse,
};
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status, Streaming};

const INITIAL: &str = "x-grpc-test-echo-initial";
const TRAILING: &str = "x-grpc-test-echo-trailing-bin";

/// What a backend gets wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// The first empty call fails.
    FailsEmpty,
    ShortAnswer,
    WrongSum,
    FewAnswers,
    ManyAnswers,
    /// Where no metadata is asked for.
    ManyPongs,
    NoHeader,
    NoTrailer,
    OtherMessage,
    NoStatus,
    /// Only the first empty call goes well.
    FailsLater,
    /// Ends a call that has a deadline after its first answer.
    EndsEarly,
}

pub(crate) struct TestService {
    fault: Fault,
    empty_calls: AtomicUsize,
}

type Answers = Pin<Box<dyn Stream<Item = Result<StreamingOutputCallResponse, Status>> + Send>>;

impl TestService {
    pub(crate) fn with(fault: Fault) -> TestServiceServer<Self> {
        TestServiceServer::new(Self {
            fault,
            empty_calls: AtomicUsize::new(0),
        })
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    /// The trailers of a call with these headers, as the status that ends it.
    fn trailers(&self, headers: &MetadataMap) -> Status {
        let mut trailers = MetadataMap::new();
        if let (Some(value), false) = (headers.get_bin(TRAILING), self.has(Fault::NoTrailer)) {
            trailers.insert_bin(TRAILING, value.clone());
        }
        Status::with_metadata(Code::Ok, "", trailers)
    }
}

fn answer(size: i32) -> Result<StreamingOutputCallResponse, Status> {
    let payload = zeros(size);
    Ok(StreamingOutputCallResponse { payload })
}

fn zeros(size: i32) -> Option<Payload> {
    let size = usize::try_from(size).unwrap();
    Some(Payload {
        body: vec![0; size],
        ..Payload::default()
    })
}

#[tonic::async_trait]
impl test_service_server::TestService for TestService {
    async fn empty_call(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        let earlier = self.empty_calls.fetch_add(1, Ordering::Relaxed);
        let fails = match self.fault {
            Fault::FailsEmpty => earlier == 0,
            Fault::FailsLater => earlier > 0,
            _ => false,
        };
        if fails {
            return Err(Status::internal("no more of these"));
        }
        Ok(Response::new(Empty {}))
    }

    async fn unary_call(
        &self,
        request: Request<SimpleRequest>,
    ) -> Result<Response<SimpleResponse>, Status> {
        let request = request.into_inner();
        match request.response_status {
            Some(status) if !self.has(Fault::NoStatus) => {
                let other = self.has(Fault::OtherMessage);
                let message = if other {
                    "other".to_owned()
                } else {
                    status.message
                };
                return Err(Status::new(Code::from(status.code), message));
            }
            _ => {}
        }
        let less = i32::from(self.has(Fault::ShortAnswer));
        let payload = zeros(request.response_size - less * request.response_size.signum());
        Ok(Response::new(SimpleResponse { payload }))
    }

    type StreamingOutputCallStream = Answers;

    async fn streaming_output_call(
        &self,
        request: Request<StreamingOutputCallRequest>,
    ) -> Result<Response<Answers>, Status> {
        let asked = request.into_inner().response_parameters;
        let mut sizes: Vec<_> = asked.iter().map(|asked| asked.size).collect();
        match self.fault {
            Fault::FewAnswers => sizes.truncate(1),
            Fault::ManyAnswers => sizes.push(1),
            _ => {}
        }
        Ok(Response::new(stream::iter(sizes).map(answer).boxed()))
    }

    async fn streaming_input_call(
        &self,
        request: Request<Streaming<StreamingInputCallRequest>>,
    ) -> Result<Response<StreamingInputCallResponse>, Status> {
        let mut requests = request.into_inner();
        let mut size = usize::from(self.has(Fault::WrongSum));
        while let Some(request) = requests.message().await? {
            size += request.payload.map_or(0, |payload| payload.body.len());
        }
        Ok(Response::new(StreamingInputCallResponse {
            aggregated_payload_size: i32::try_from(size).unwrap(),
        }))
    }

    type FullDuplexCallStream = Answers;

    async fn full_duplex_call(
        &self,
        request: Request<Streaming<StreamingOutputCallRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let (headers, _, requests) = request.into_parts();
        let rounds = match self.has(Fault::EndsEarly) && headers.contains_key("grpc-timeout") {
            true => 1,
            false => usize::MAX,
        };
        let sizes = |request: StreamingOutputCallRequest| {
            stream::iter(request.response_parameters).map(|asked| answer(asked.size))
        };
        let more = self.has(Fault::ManyPongs) && !headers.contains_key(INITIAL);
        let more = more.then(|| answer(1));
        let answers = requests
            .take(rounds)
            .map_ok(sizes)
            .try_flatten()
            .chain(stream::iter(more))
            .chain(stream::iter([Err(self.trailers(&headers))]));
        let mut response = Response::new(answers.boxed());
        if let (Some(value), false) = (headers.get(INITIAL), self.has(Fault::NoHeader)) {
            response.metadata_mut().insert(INITIAL, value.clone());
        }
        Ok(response)
    }

    type HalfDuplexCallStream = Answers;

    async fn half_duplex_call(
        &self,
        _: Request<Streaming<StreamingOutputCallRequest>>,
    ) -> Result<Response<Answers>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }

    async fn unimplemented_call(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Err(Status::unimplemented("as its name says"))
    }
}
