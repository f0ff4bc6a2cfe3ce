//! The path of one call, from the listener to an edge and back.

mod caller;
mod check;
mod code;
pub(crate) mod crowd;
mod flow;
mod forward;
pub(crate) mod listener;
mod local;
mod metadata;
pub(crate) mod misplaced;
mod record;
mod reply;
mod rescue;
mod timeout;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use grpc_multiplexer_tunnel::{ClientId, LANES};
use h2::RecvStream;
use h2::server::SendResponse;
use http::request::Parts;
use http::{Method, Request, Uri};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::edge::EdgeHandle;
use crate::edge::lane::LaneStream;
use crate::edge::lanes::{NoLane, Slot};
use crate::limits::MetadataLimits;
use crate::overload::Overload;
use crate::registry::Registry;
use caller::Caller;
pub(crate) use code::Code;
use forward::{Ending, Ends, forward};
pub(crate) use local::{CutOff, Local, OwnServices, Upload};
use metadata::{GRPC_TIMEOUT, to_backend};
pub(crate) use record::Record;
use reply::{CallerGone, Reply};
pub(crate) use rescue::Failure;

/// How long an upload is read on after its answer, at least and at most. DATA that is under way when a stream is reset
/// counts against the caller's connection, which dies of too much of it.
const UPLOAD_DRAIN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(1));

/// What every call needs.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) registry: Arc<Registry>,
    pub(crate) local: Local,
    pub(crate) record: Arc<Record>,
    pub(crate) metadata: MetadataLimits,
    pub(crate) overload: Arc<Overload>,
    /// Cancelled when calls in flight must end.
    pub(crate) cut: CancellationToken,
}

/// One call on its way to an edge.
struct Call {
    head: Parts,
    upload: RecvStream,
    reply: Reply,
    deadline: Option<Instant>,
    caller: Arc<Caller>,
    /// Which edge it names, once that is known.
    id: Option<ClientId>,
}

impl Proxy {
    /// Serves one call to its end.
    async fn serve(
        self: Arc<Self>,
        request: Request<RecvStream>,
        respond: SendResponse<Bytes>,
        caller: Arc<Caller>,
    ) {
        let in_flight = self.record.start();
        let (head, upload) = request.into_parts();
        // First, so that what is no gRPC request gets the same answer whatever edges there are.
        let checked = check::request(&head, self.metadata);
        let mut call = Call {
            deadline: checked.as_ref().ok().copied().flatten(),
            head,
            upload,
            reply: Reply::new(respond),
            caller,
            id: None,
        };
        let result = match checked {
            Err(failure) => Err(failure),
            // Our own services need no edge, and discovery ignores one that is named.
            Ok(_) if self.local.takes(&call.head) => {
                let Call {
                    head,
                    upload,
                    mut reply,
                    deadline,
                    ..
                } = call;
                let method = head.uri.path().to_owned();
                let ending = self.local.serve(head, upload, &mut reply, deadline).await;
                return in_flight.ended(&method, None, &ending);
            }
            Ok(_) => self.steps(&mut call).await,
        };
        let ending = result.unwrap_or_else(|failure| match call.reply.fail(&failure) {
            Ok(()) => Ending::Failed(failure),
            Err(CallerGone) => Ending::CallerGone,
        });
        in_flight.ended(call.head.uri.path(), call.id.as_ref(), &ending);
        call.drain_upload().await;
    }

    /// The steps of a call to an edge, in their order.
    async fn steps(&self, call: &mut Call) -> Result<Ending, Failure> {
        let id = check::client_id(&call.head.headers)?;
        let overload = Failure::Overload { sent: false };
        let _underway = self.overload.call().ok_or(overload)?;
        call.id = Some(id.clone());
        to_backend(&mut call.head.headers);
        self.deliver(call, &id).await
    }

    /// Brings a call to its edge; once more, elsewhere or anew, where it is proven that the first try reached nobody.
    async fn deliver(&self, call: &mut Call, id: &ClientId) -> Result<Ending, Failure> {
        let edge = self.registry.get(id);
        let edge = edge.ok_or_else(|| Failure::UnknownEdge(id.clone()))?;
        let first = match self.try_deliver(call, &edge).await {
            Err((failure, false)) if failure.is_retriable() => failure,
            other => return other.map_err(|(failure, _)| failure),
        };
        let Some(edge) = self.registry.get(id) else {
            return Err(first);
        };
        self.try_deliver(call, &edge)
            .await
            .map_err(|(failure, _)| failure)
    }

    /// One try. The flag of an error says whether bytes of the caller were taken.
    async fn try_deliver(
        &self,
        call: &mut Call,
        edge: &Arc<EdgeHandle>,
    ) -> Result<Ending, (Failure, bool)> {
        let id = edge.client_id();
        if !edge.session().in_rotation() {
            return Err((Failure::EdgeAway(id.clone()), false));
        }
        let mut lanes = 0;
        let (stream, ended) = loop {
            let slot = match self.admit(call, edge).await {
                Ok(Some(slot)) => slot,
                Ok(None) => return Ok(Ending::CallerGone),
                Err(failure) => return Err((failure, false)),
            };
            let ended = call.upload.is_end_stream();
            let request = call
                .backend_request(edge)
                .ok_or((Failure::Internal, false))?;
            match LaneStream::start(slot, request, ended) {
                Ok(stream) => break (stream, ended),
                // The lane ended just now. It takes no calls any more, so the next one is another.
                Err(_) if lanes < LANES => lanes += 1,
                Err(error) => return Err((Failure::of_stream(&error, id), false)),
            }
        };
        let ends = Ends {
            id,
            path: call.head.uri.path(),
            upload: &mut call.upload,
            reply: &mut call.reply,
            caller: &call.caller,
            lanes: edge.lanes(),
            deadline: call.deadline,
            metadata: self.metadata,
            stalled: self.overload.stalled(),
            cut: &self.cut,
        };
        forward(ends, stream, ended).await
    }

    /// A place on a lane, within the call's time and while its caller is there (`None` once it is not).
    async fn admit(
        &self,
        call: &mut Call,
        edge: &Arc<EdgeHandle>,
    ) -> Result<Option<Slot>, Failure> {
        let deadline = call.deadline;
        let acquire = async {
            let acquire = edge.lanes().acquire(call.head.uri.path(), call.caller.id());
            match deadline {
                Some(deadline) => timeout_at(deadline, acquire)
                    .await
                    .map_err(|_| Failure::Deadline { sent: false }),
                None => Ok(acquire.await),
            }
        };
        let reply = &mut call.reply;
        let acquired = tokio::select! {
            biased;
            acquired = acquire => acquired?,
            _ = poll_fn(|cx| reply.poll_gone(cx)) => return Ok(None),
            () = self.cut.cancelled() => return Err(Failure::Draining { sent: false }),
        };
        let id = edge.client_id();
        acquired.map(Some).map_err(|no_lane| match no_lane {
            NoLane::Busy => Failure::EdgeBusy(id.clone()),
            NoLane::Dial(failure) => Failure::of_dial(failure, id),
        })
    }
}

impl Call {
    /// The request as the backend gets it.
    fn backend_request(&self, edge: &EdgeHandle) -> Option<Request<()>> {
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(edge.scheme().clone());
        uri.authority = Some(edge.authority().clone());
        uri.path_and_query = self.head.uri.path_and_query().cloned();
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_parts(uri).ok()?;
        *request.headers_mut() = self.head.headers.clone();
        if let Some(deadline) = self.deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            request
                .headers_mut()
                .insert(GRPC_TIMEOUT, timeout::format(left));
        }
        Some(request)
    }

    /// Reads on what the caller still sends, for a while, and throws it away.
    async fn drain_upload(&mut self) {
        if !self.reply.is_over() {
            return;
        }
        let (least, most) = UPLOAD_DRAIN;
        let limit = (self.caller.rtt() * 4).clamp(least, most);
        let upload = &mut self.upload;
        let read = poll_fn(|cx| {
            loop {
                match upload.poll_data(cx) {
                    Poll::Ready(Some(Ok(data))) => {
                        // The stream may be over, and with it its window.
                        let _ = upload.flow_control().release_capacity(data.len());
                    }
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        });
        // Past this, dropping the stream resets it with NO_ERROR.
        let _ = tokio::time::timeout(limit, read).await;
    }
}
