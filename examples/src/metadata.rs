//! Sends metadata back, and compressed answers to callers that compress.
//!
//! A layer around the generated service, because tonic's handlers can set neither the trailers of an OK answer nor the
//! compression of a stream.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::deadline::{limit, within};

const HEADER_PREFIX: &str = "echo-";
const TRAILER_PREFIX: &str = "echo-trailer-";

/// Wraps a service in [`EchoMetadata`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct EchoMetadataLayer;

impl<S> Layer<S> for EchoMetadataLayer {
    type Service = EchoMetadata<S>;

    fn layer(&self, inner: S) -> Self::Service {
        EchoMetadata { inner }
    }
}

/// Adds the metadata that a request asked for to the answer of `inner`.
#[derive(Clone, Debug)]
pub(crate) struct EchoMetadata<S> {
    inner: S,
}

impl<S> Service<Request<Body>> for EchoMetadata<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let trailers = pick(request.headers(), |key| key.starts_with(TRAILER_PREFIX));
        let headers = pick(request.headers(), |key| {
            key.starts_with(HEADER_PREFIX) && !key.starts_with(TRAILER_PREFIX)
        });
        // tonic compresses for everybody who could read it. Most callers could, few want 64 MiB of it.
        if !request.headers().contains_key("grpc-encoding") {
            request.headers_mut().remove("grpc-accept-encoding");
        }
        let limit = limit(request.headers());
        let answer = within(limit, self.inner.call(request));
        Box::pin(async move { Ok(mirrored(answer.await?, headers, trailers)) })
    }
}

/// The entries whose key is wanted, repeated ones in their order.
fn pick(map: &HeaderMap, wanted: impl Fn(&str) -> bool) -> HeaderMap {
    map.iter()
        .filter(|(key, _)| wanted(key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn mirrored(
    mut response: Response<Body>,
    headers: HeaderMap,
    trailers: HeaderMap,
) -> Response<Body> {
    response.headers_mut().extend(headers);
    // An error before the first message: the one header frame is also the trailers.
    if response.headers().contains_key("grpc-status") {
        response.headers_mut().extend(trailers);
        return response;
    }
    response.map(|body| {
        Body::new(body.map_frame(move |mut frame| {
            if let Some(own) = frame.trailers_mut() {
                own.extend(trailers.clone());
            }
            frame
        }))
    })
}
