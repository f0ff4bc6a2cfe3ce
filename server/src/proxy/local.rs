//! The one adapter between the data path and our own gRPC services, which are ordinary tower services.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

use super::code::Code;
use super::forward::Ending;
use super::metadata::{CLIENT_ID, GRPC_STATUS};
use super::reply::{CallerGone, Reply};
use super::rescue::Failure;

/// Our own services, as one.
pub(crate) type OwnServices = BoxCloneSyncService<Request<Upload>, Response<Download>, Infallible>;
/// The body of a response of ours. An error cuts the call.
pub(crate) type Download = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// Calls to our own services at a time. They cost little, and are served however little memory there is.
const CALLS: usize = 10_000;

/// Services that are ours whatever `client-id` says.
const ALWAYS: &[&str] = &["/grpc.multiplexer.v1.DiscoveryService/"];
/// Services that are ours without a `client-id`, and the backend's with one.
const WITHOUT_ID: &[&str] = &[
    "/grpc.health.v1.Health/",
    "/grpc.reflection.v1.ServerReflection/",
    "/grpc.reflection.v1alpha.ServerReflection/",
];

/// In a response's extensions: cancelled when its reader is too slow to be served on.
#[derive(Debug, Clone)]
pub(crate) struct CutOff(pub(crate) CancellationToken);

#[derive(Debug)]
pub(crate) struct Local {
    services: OwnServices,
    /// Cancelled when the server goes away: streams that would never end by themselves end then.
    draining: CancellationToken,
    /// One for each further call.
    places: Semaphore,
}

impl Local {
    pub(crate) fn new(services: OwnServices, draining: CancellationToken) -> Self {
        Self {
            services,
            draining,
            places: Semaphore::new(CALLS),
        }
    }

    /// Whether a request is for one of our own services.
    pub(crate) fn takes(&self, head: &Parts) -> bool {
        let path = head.uri.path();
        let is_one_of =
            |services: &[&str]| services.iter().any(|service| path.starts_with(service));
        is_one_of(ALWAYS) || (is_one_of(WITHOUT_ID) && !head.headers.contains_key(CLIENT_ID))
    }

    /// Serves a call of ours to its end.
    pub(crate) async fn serve(
        &self,
        head: Parts,
        upload: RecvStream,
        reply: &mut Reply,
        deadline: Option<Instant>,
    ) -> Ending {
        let failure = match self.places.try_acquire() {
            Err(_) => Failure::Overload { sent: false },
            Ok(_place) => {
                let request = Request::from_parts(head, Upload(upload));
                tokio::select! {
                    biased;
                    ending = self.answer(request, reply) => return ending.unwrap_or(Ending::CallerGone),
                    () = over(deadline) => Failure::Deadline { sent: false },
                    () = self.draining.cancelled() => Failure::Draining { sent: false },
                }
            }
        };
        match reply.fail(&failure) {
            Ok(()) => Ending::Failed(failure),
            Err(CallerGone) => Ending::CallerGone,
        }
    }

    async fn answer(
        &self,
        request: Request<Upload>,
        reply: &mut Reply,
    ) -> Result<Ending, CallerGone> {
        let call = self.services.clone().oneshot(request);
        let response = unless_gone(reply, call).await?;
        let (mut parts, body) = response.unwrap_or_else(|never| match never {}).into_parts();
        let cut_off = parts.extensions.remove::<CutOff>();
        let end = body.is_end_stream();
        let code = Code::read(parts.headers.get(GRPC_STATUS));
        Failure::mark_own(&mut parts.headers);
        reply.headers(Response::from_parts(parts, ()), end)?;
        if end {
            return Ok(Ending::Complete(code));
        }
        let Some(CutOff(cut)) = cut_off else {
            return pass(body, reply).await;
        };
        if let Some(ending) = cut.run_until_cancelled(pass(body, reply)).await {
            return ending;
        }
        // What waits for a reader that does not read is dropped. gRPC reads this reset as RESOURCE_EXHAUSTED.
        reply.reset(Reason::ENHANCE_YOUR_CALM);
        Ok(Ending::Failed(Failure::SlowWatcher))
    }
}

/// Sends a body to its end.
async fn pass(mut body: Download, reply: &mut Reply) -> Result<Ending, CallerGone> {
    while let Some(frame) = unless_gone(reply, body.frame()).await? {
        let Ok(frame) = frame else {
            reply.reset(Reason::INTERNAL_ERROR);
            return Ok(Ending::Failed(Failure::Internal));
        };
        match frame.into_data() {
            Ok(data) => send(reply, data).await?,
            Err(frame) => {
                let mut trailers = frame.into_trailers().unwrap_or_else(|_| HeaderMap::new());
                let code = Code::read(trailers.get(GRPC_STATUS));
                Failure::mark_own(&mut trailers);
                reply.trailers(trailers)?;
                return Ok(Ending::Complete(code));
            }
        }
    }
    reply.end()?;
    Ok(Ending::Complete(Code::Unknown))
}

async fn over(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

/// Awaits `work` while the caller is there.
async fn unless_gone<T>(reply: &mut Reply, work: impl Future<Output = T>) -> Result<T, CallerGone> {
    tokio::select! {
        biased;
        gone = poll_fn(|cx| reply.poll_gone(cx)) => Err(gone),
        done = work => Ok(done),
    }
}

/// Sends data as the caller takes it.
async fn send(reply: &mut Reply, mut data: Bytes) -> Result<(), CallerGone> {
    while !data.is_empty() {
        let stream = reply.body().ok_or(CallerGone)?;
        stream.reserve_capacity(data.len());
        let mut room = stream.capacity();
        while room == 0 {
            room = poll_fn(|cx| stream.poll_capacity(cx))
                .await
                .and_then(Result::ok)
                .ok_or(CallerGone)?;
        }
        let chunk = data.split_to(room.min(data.len()));
        stream.send_data(chunk, false).map_err(|_| CallerGone)?;
    }
    Ok(())
}

/// The body of a request to us.
#[derive(Debug)]
pub(crate) struct Upload(RecvStream);

impl Body for Upload {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let upload = &mut self.0;
        if let Some(data) = ready!(upload.poll_data(cx)) {
            let data = data?;
            // The stream may be over, and with it its window.
            let _ = upload.flow_control().release_capacity(data.len());
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let trailers = ready!(upload.poll_trailers(cx))?;
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }
}
