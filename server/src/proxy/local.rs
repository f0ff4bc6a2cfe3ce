//! The one adapter between the data path and our own gRPC services, which are ordinary tower services.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

use super::Unanswered;
use super::code::Code;
use super::forward::Ending;
use super::hooked::LateNo;
use super::metadata::{CLIENT_ID, GRPC_STATUS};
use super::reply::{CallerGone, Reply};
use super::rescue::Failure;
use super::stall::Stall;
use crate::moment;
use crate::overload::{Load, Stalled};
use crate::policy::Rights;

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
    /// Where what callers leave unread counts.
    stalled: Arc<Stalled>,
    /// Cancelled when the server goes away: streams that would never end by themselves end then.
    draining: CancellationToken,
    /// One for each further call.
    places: Semaphore,
}

impl Local {
    pub(crate) fn new(
        services: OwnServices,
        stalled: &Arc<Stalled>,
        draining: CancellationToken,
    ) -> Self {
        Self {
            services,
            stalled: Arc::clone(stalled),
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

    /// Serves a call of ours to its end, once its caller is let in, or until that has other rights than it was let in with.
    pub(crate) async fn serve(
        &self,
        mut head: Parts,
        upload: RecvStream,
        reply: &mut Reply,
        deadline: Option<Instant>,
        admit: impl Future<Output = Result<Rights, LateNo>>,
        changed: impl AsyncFnOnce(&Rights) -> Failure,
    ) -> Ending {
        let Ok(place) = self.places.try_acquire() else {
            return Unanswered::from(Failure::Overload { sent: false }).tell(reply);
        };
        let serve = async {
            let rights = match unless_gone(reply, admit).await? {
                Ok(rights) => rights,
                Err(no) => {
                    drop(place);
                    return Err(unless_gone(reply, no.said()).await?.into());
                }
            };
            let _place = place;
            head.extensions.insert(rights.clone());
            let request = Request::from_parts(head, Upload(upload));
            tokio::select! {
                biased;
                // First: to be let in may have taken long.
                changed = changed(&rights) => Err(changed.into()),
                ending = self.answer(request, reply) => Ok(ending?),
            }
        };
        let served = tokio::select! {
            biased;
            served = serve => served,
            () = moment::reached(deadline) => Err(Failure::Deadline { sent: false }.into()),
            () = self.draining.cancelled() => Err(Failure::Draining { sent: false }.into()),
        };
        served.unwrap_or_else(|unanswered: Unanswered| unanswered.tell(reply))
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
            return self.pass(body, reply).await;
        };
        let passed = cut.run_until_cancelled(self.pass(body, reply)).await;
        passed.unwrap_or_else(|| Ok(unread(reply, Failure::SlowWatcher)))
    }

    /// Sends a body to its end.
    async fn pass(&self, mut body: Download, reply: &mut Reply) -> Result<Ending, CallerGone> {
        while let Some(frame) = unless_gone(reply, body.frame()).await? {
            let Ok(frame) = frame else {
                reply.reset(Reason::INTERNAL_ERROR);
                return Ok(Ending::Failed(Failure::Internal));
            };
            match frame.into_data() {
                Ok(data) => {
                    if let Err(failure) = self.send(reply, data).await? {
                        return Ok(unread(reply, failure));
                    }
                }
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

    /// Sends data as the caller takes it, unless it takes none for too long, or its memory is needed.
    async fn send(
        &self,
        reply: &mut Reply,
        mut data: Bytes,
    ) -> Result<Result<(), Failure>, CallerGone> {
        let mut load = Load::new(&self.stalled);
        let mut stall = Stall::default();
        let mut passed = 0;
        while !data.is_empty() {
            let stream = reply.body().ok_or(CallerGone)?;
            stream.reserve_capacity(data.len());
            while stream.capacity() == 0 {
                let held = data.len();
                let room = poll_fn(|cx| {
                    if let Poll::Ready(room) = stream.poll_capacity(cx) {
                        return Poll::Ready(Ok(room.and_then(Result::ok)));
                    }
                    if load.is(cx, held, passed) {
                        return Poll::Ready(Err(Failure::Overload { sent: true }));
                    }
                    stall.poll(cx, passed).map(|()| Err(Failure::SlowCaller))
                });
                match room.await {
                    Ok(room) => room.ok_or(CallerGone)?,
                    Err(failure) => return Ok(Err(failure)),
                };
            }
            let chunk = data.split_to(stream.capacity().min(data.len()));
            passed += chunk.len() as u64;
            stream.send_data(chunk, false).map_err(|_| CallerGone)?;
        }
        Ok(Ok(()))
    }
}

/// Drops what waits for a caller that does not read. gRPC reads this reset as RESOURCE_EXHAUSTED.
fn unread(reply: &mut Reply, failure: Failure) -> Ending {
    reply.reset(Reason::ENHANCE_YOUR_CALM);
    Ending::Failed(failure)
}

/// Awaits `work` while the caller is there.
async fn unless_gone<T>(reply: &mut Reply, work: impl Future<Output = T>) -> Result<T, CallerGone> {
    tokio::select! {
        biased;
        gone = poll_fn(|cx| reply.poll_gone(cx)) => Err(gone),
        done = work => Ok(done),
    }
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

#[cfg(test)]
mod tests {
    use http_body_util::Full;
    use tokio::io::duplex;
    use tokio::task::JoinSet;
    use tower::service_fn;

    use super::*;

    const ANSWER: usize = 1024 * 1024;

    /// What becomes of a call for an answer of ours whose caller has a window of `window` bytes for it.
    async fn ending(stalled: &Arc<Stalled>, window: u32, alongside: impl Future) -> Ending {
        let (near, far) = duplex(64 * 1024);
        let client = async {
            let mut builder = h2::client::Builder::new();
            builder
                .initial_window_size(window)
                .initial_connection_window_size(window);
            let (mut sender, connection) = builder.handshake::<_, Bytes>(far).await.unwrap();
            let answer = sender.send_request(Request::get("http://x/").body(()).unwrap(), true);
            let answer = answer.unwrap().0;
            tokio::join!(async { drop(connection.await) }, async {
                // Unread.
                let _held = answer.await;
                std::future::pending::<()>().await;
            });
        };
        let server = async {
            let mut connection = h2::server::handshake(near).await.unwrap();
            let (request, respond) = connection.accept().await.unwrap().unwrap();
            let mut tasks = JoinSet::new();
            tasks.spawn(async move { while connection.accept().await.is_some() {} });
            let services = BoxCloneSyncService::new(service_fn(|_| async {
                let body = Full::new(vec![0; ANSWER].into()).map_err(|never| match never {});
                Ok(Response::new(Download::new(body)))
            }));
            let local = Local::new(services, stalled, CancellationToken::new());
            let (head, upload) = request.into_parts();
            let mut reply = Reply::new(respond);
            let admit = async { Ok(Rights::default()) };
            let changed = async |_: &Rights| std::future::pending().await;
            let serve = local.serve(head, upload, &mut reply, None, admit, changed);
            serve.await
        };
        tokio::select! {
            () = client => unreachable!("it waits"),
            _ = async { alongside.await; std::future::pending::<()>().await } => unreachable!(),
            ending = server => ending,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_of_ours_that_nobody_reads_is_dropped_in_time() {
        let stalled = Arc::default();
        let ended = ending(&stalled, 64 * 1024, async {}).await;
        assert!(
            matches!(ended, Ending::Failed(Failure::SlowCaller)),
            "{ended:?}"
        );
        let ended = ending(&stalled, 2 * ANSWER as u32, async {}).await;
        assert!(matches!(ended, Ending::Complete(_)), "{ended:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_of_ours_that_nobody_reads_counts_and_makes_room() {
        let stalled = Arc::<Stalled>::default();
        let shed = async {
            while stalled.held() == 0 {
                tokio::task::yield_now().await;
            }
            stalled.shed(1);
        };
        let ended = ending(&stalled, 64 * 1024, shed).await;
        let shed = matches!(ended, Ending::Failed(Failure::Overload { .. }));
        assert!(shed, "{ended:?}");
        assert_eq!(stalled.held(), 0);
    }
}
