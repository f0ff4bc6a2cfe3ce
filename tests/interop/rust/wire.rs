//! What the test service needs and tonic's handlers cannot do: see whether a request came compressed, leave a
//! streamed answer as it is, and send trailers with an answer.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use grpc_multiplexer_proto::testing::test_service_server::TestServiceServer;
use http::{HeaderMap, HeaderName, Request, Response};
use http_body::Frame;
use http_body_util::BodyExt as _;
use tonic::body::Body;
use tower::Service;

use crate::flags::Flags;
use crate::service::TestService;

type Testing = TestServiceServer<TestService>;

const INITIAL: HeaderName = HeaderName::from_static("x-grpc-test-echo-initial");
const TRAILING: HeaderName = HeaderName::from_static("x-grpc-test-echo-trailing-bin");

/// Puts [`Flags`] into the extensions of each request, and sends back the two metadata keys of the cases.
#[derive(Debug, Clone)]
pub(crate) struct Wire(pub(crate) Testing);

impl Service<Request<Body>> for Wire {
    type Response = Response<Body>;
    type Error = <Testing as Service<Request<Body>>>::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::<Request<Body>>::poll_ready(&mut self.0, context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let initial = only(INITIAL, request.headers());
        let trailing = only(TRAILING, request.headers());
        // tonic compresses whatever the caller accepts compressed, and lets only handlers of unary calls say no.
        if !request.uri().path().ends_with("/UnaryCall") {
            request.headers_mut().remove("grpc-accept-encoding");
        }
        let flags = Flags::default();
        request.extensions_mut().insert(flags.clone());
        let answer = self.0.call(request.map(|body| flags.watch(body)));
        Box::pin(async move {
            let mut response = answer.await?;
            response.headers_mut().extend(initial);
            Ok(response.map(|body| with_trailers(body, trailing)))
        })
    }
}

fn only(name: HeaderName, headers: &HeaderMap) -> HeaderMap {
    let values = headers.get_all(&name).iter();
    values.map(|value| (name.clone(), value.clone())).collect()
}

fn with_trailers(body: Body, more: HeaderMap) -> Body {
    Body::new(body.map_frame(move |frame| match frame.into_trailers() {
        Ok(mut trailers) => {
            trailers.extend(more.clone());
            Frame::trailers(trailers)
        }
        Err(data) => data,
    }))
}
