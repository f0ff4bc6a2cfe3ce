//! `cancels-backend`: the service that `cancels/run` calls, on tonic: bytes in, bytes out. Prints its address once it
//! listens.

use std::convert::Infallible;
use std::future::pending;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

/// Between two messages of a stream, once the first sixteen are out.
const INTERVAL: Duration = Duration::from_millis(50);

#[derive(Debug, Clone)]
struct Service;

impl NamedService for Service {
    const NAME: &'static str = "cancels.Test";
}

impl tower::Service<Request<Body>> for Service {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(async { Ok(serve(request).await) })
    }
}

async fn serve(request: Request<Body>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let body = match path.as_str() {
        "/cancels.Test/Hang" => {
            let _noted = Noted::begin(request.headers());
            let _kept = request;
            pending().await
        }
        "/cancels.Test/Stream" => messages(Noted::begin(request.headers())),
        _ => echo(request).await,
    };
    let mut response = Response::new(body);
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", grpc);
    response
}

async fn echo(request: Request<Body>) -> Body {
    let message = match request.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => Bytes::new(),
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = [Frame::data(message), Frame::trailers(trailers)];
    Body::new(StreamBody::new(stream::iter(
        frames.map(Ok::<_, Infallible>),
    )))
}

/// For ever, or until the call is cancelled.
fn messages(noted: Noted) -> Body {
    let first = stream::repeat(()).take(16);
    let rest = stream::repeat(()).then(|()| tokio::time::sleep(INTERVAL));
    let frames = first.chain(rest).map(move |()| {
        let _kept = &noted;
        let mut message = vec![0; 5 + 1024];
        message[3] = 4;
        Ok::<_, Infallible>(Frame::data(Bytes::from(message)))
    });
    Body::new(StreamBody::new(Box::pin(frames)))
}

/// Says that a call began, and when its handler was dropped: it is never done by itself.
struct Noted(String);

impl Noted {
    fn begin(headers: &HeaderMap) -> Self {
        let id = headers.get("cancel-id").and_then(|id| id.to_str().ok());
        let id = id.unwrap_or_default().to_owned();
        say(&format!("began {id}"));
        Self(id)
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let nanos = now.map_or(0, |now| now.as_nanos());
        say(&format!("cancelled {} {nanos}", self.0));
    }
}

#[expect(clippy::print_stdout, reason = "scripts and the load read this")]
fn say(line: &str) {
    println!("{line}");
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    say(&format!("tonic listening on {}", listener.local_addr()?));
    Server::builder()
        .add_service(Service)
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
        .await?;
    Ok(())
}
