//! The path of one call, from the listener to an edge and back.

mod caller;
pub(crate) mod check;
mod code;
pub(crate) mod comers;
pub(crate) mod crowd;
pub(crate) mod deadline;
mod farewell;
mod flow;
mod forward;
mod forwarded;
mod hooked;
mod intake;
pub(crate) mod listener;
mod local;
mod metadata;
pub(crate) mod misplaced;
mod narrow;
mod record;
mod reply;
mod rescue;
mod rights;
mod stall;
pub(crate) mod timeout;

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::OptionFuture;
use grpc_multiplexer_tunnel::{ClientId, LANES};
use h2::RecvStream;
use h2::server::SendResponse;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Uri};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::credential::Failures;
use crate::edge::EdgeHandle;
use crate::edge::lane::LaneStream;
use crate::edge::lanes::{NoLane, Slot};
use crate::hooks::Hooks;
use crate::jwt::Verifier;
use crate::limits::MetadataLimits;
use crate::moment;
use crate::overload::{Load, Overload};
use crate::policy::{Audit, Rights};
use crate::registry::Registry;
use crate::settings::{Live, Settings};
use crate::waiting::Sight;
use caller::{Caller, OneCall};
pub(crate) use code::Code;
use forward::{Ending, Ends, forward};
pub use forwarded::{ForwardedHeaders, ForwardedHeadersError};
use intake::Intake;
pub(crate) use local::{CutOff, Local, OwnServices, Upload};
use metadata::{GRPC_TIMEOUT, MUX_CALLER, to_backend};
pub(crate) use record::Record;
use reply::{CallerGone, Reply};
pub(crate) use rescue::Failure;
use rights::is_asked_again;

/// What every call needs.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) registry: Arc<Registry>,
    pub(crate) settings: Live,
    pub(crate) local: Local,
    pub(crate) record: Arc<Record>,
    pub(crate) audit: Audit,
    /// Wrong tokens of callers.
    pub(crate) failures: Failures,
    pub(crate) jwts: Arc<Verifier>,
    pub(crate) hooks: Arc<Hooks>,
    pub(crate) metadata: MetadataLimits,
    pub(crate) overload: Arc<Overload>,
    /// Cancelled when the server goes away: edges that left come back to another one.
    pub(crate) drain: CancellationToken,
    /// Cancelled when calls in flight must end.
    pub(crate) cut: CancellationToken,
}

/// One call on its way to an edge.
struct Call {
    head: Box<Parts>,
    intake: Intake,
    reply: Reply,
    deadline: Option<Instant>,
    /// Its metadata as it came, until the hook was shown it.
    shown: Option<Box<HeaderMap>>,
    /// Which edge it names, once that is known.
    id: Option<ClientId>,
}

/// How a call ended that has no answer yet.
enum Unanswered {
    /// There is nobody to answer.
    CallerGone,
    Failed(Failure),
}

impl From<Failure> for Unanswered {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<CallerGone> for Unanswered {
    fn from(_: CallerGone) -> Self {
        Self::CallerGone
    }
}

impl Unanswered {
    /// Tells the caller, if it is there.
    fn tell(self, reply: &mut Reply) -> Ending {
        let Self::Failed(failure) = self else {
            return Ending::CallerGone;
        };
        match reply.fail(&failure) {
            Ok(()) => Ending::Failed(failure),
            Err(CallerGone) => Ending::CallerGone,
        }
    }
}

impl Proxy {
    /// Serves one call to its end.
    async fn serve(
        self: Arc<Self>,
        mut head: Box<Parts>,
        upload: RecvStream,
        respond: SendResponse<Bytes>,
        caller: Arc<Caller>,
        under_way: OneCall,
    ) {
        let in_flight = self.record.start();
        let started = Instant::now();
        let mut reply = Reply::new(respond);
        let mut shown = None;
        // First, so that what is no gRPC request gets the same answer whatever edges there are.
        let checked = match check::request(&head, self.metadata) {
            Ok(deadline) => {
                // What the policy takes off is shown to the hook, too.
                let decides = self.hooks.decides_on_callers();
                shown = decides.then(|| Box::new(head.headers.clone()));
                let rights = self.rights(&mut head, &caller).await;
                rights.map(|rights| (deadline, rights))
            }
            Err(failure) => Err(failure),
        };
        // Our own services need no edge, and discovery ignores one that is named.
        if let Ok((deadline, rights)) = &checked
            && self.local.takes(&head)
        {
            let (deadline, method) = (*deadline, head.uri.path().to_owned());
            self.audit.allowed(rights, None, &method);
            // Boxed: every call has room for what is not.
            let admit = Box::pin(self.authorized(shown, rights.clone(), &caller, None, &method));
            let changed = async |rights: &Rights| self.changed(&caller, rights).await;
            let serve = self
                .local
                .serve(*head, upload, &mut reply, deadline, admit, changed);
            let ending = Box::pin(serve).await;
            caller.ended(started.elapsed(), ending.is_caller_gone());
            return in_flight.ended(&method, None, &ending);
        }
        let look = |settings: &Settings| (settings.replay_buffer, settings.max_call_time);
        let (keep, most) = self.settings.now(look);
        let own = checked.as_ref().ok().and_then(|(deadline, _)| *deadline);
        let mut call = Call {
            deadline: deadline::within(most, started, own),
            head,
            intake: Intake::new(upload, caller, keep, Load::new(self.overload.stalled())),
            reply,
            shown,
            id: None,
        };
        let result = match checked {
            Ok((_, rights)) => answered(self.steps(&mut call, rights)).await,
            Err(failure) => Err(failure.into()),
        };
        let ending = result.unwrap_or_else(|unanswered| unanswered.tell(&mut call.reply));
        // Before anything else that takes time: the connection may have waited for this moment to end.
        let _under_way = (!call.intake.is_over()).then_some(under_way);
        in_flight.ended(call.head.uri.path(), call.id.as_ref(), &ending);
        call.intake
            .caller()
            .ended(started.elapsed(), ending.is_caller_gone());
        if call.reply.is_over() {
            call.intake.drain().await;
        }
    }

    /// The steps of a call to an edge, in their order.
    async fn steps(&self, call: &mut Call, rights: Rights) -> Result<Ending, Unanswered> {
        let id = check::client_id(&call.head.headers)?;
        call.id = Some(id.clone());
        // Before anything else is looked up: what may not be seen is like what is not there, also in the time that it takes.
        // Nor is the hook asked about it.
        let is_certain = self.allow(call, &rights, &id)?;
        let overload = Failure::Overload { sent: false };
        let underway = self.overload.call().ok_or(overload)?;
        let (_underway, rights) = &match call.shown.take() {
            Some(shown) => Box::pin(self.hooked(call, shown, underway, rights, &id)).await?,
            None => (underway, rights),
        };
        if !is_certain {
            Box::pin(self.allow_labelled(call, rights, &id)).await?;
        }
        to_backend(&mut call.head.headers);
        let forwarded = self.settings.now(|settings| settings.forwarded_headers);
        forwarded.apply(&mut call.head.headers, call.intake.caller().address());
        if let Some(name) = rights.caller() {
            call.head.headers.insert(MUX_CALLER, name.clone());
        }
        rights.context().put(&mut call.head.headers);
        let uri = call.head.uri.clone();
        let revoked = is_asked_again(rights).then(|| {
            let caller = Arc::clone(call.intake.caller());
            let (id, uri) = (&id, &uri);
            Box::pin(async move { self.revoked(&caller, rights, id, uri.path()).await })
        });
        tokio::select! {
            biased;
            Some(revoked) = OptionFuture::from(revoked) => Err(revoked.into()),
            ended = self.deliver(call, &id) => ended,
        }
    }

    /// Brings a call to its edge; once more, elsewhere or anew, where it is proven that no backend took it.
    async fn deliver(&self, call: &mut Call, id: &ClientId) -> Result<Ending, Unanswered> {
        let edge = self.edge(call, id).await?;
        let first = match self.try_deliver(call, &edge).await {
            Err(Unanswered::Failed(first)) if first.is_retriable() && call.intake.rewind() => first,
            other => return other,
        };
        drop(edge);
        self.record.retried(&first);
        match self.edge(call, id).await {
            Ok(edge) => self.try_deliver(call, &edge).await,
            // It was there a moment ago, and what it failed of then is the better answer.
            Err(Unanswered::Failed(Failure::UnknownEdge(_))) => Err(first.into()),
            Err(other) => Err(other),
        }
    }

    /// The edge of that id, as soon as calls can go to it. One that is away is waited for.
    async fn edge(&self, call: &mut Call, id: &ClientId) -> Result<Arc<EdgeHandle>, Unanswered> {
        let look = || {
            let edge = self.registry.get(id);
            edge.filter(|edge| edge.session().in_rotation())
        };
        if let Some(edge) = look() {
            return Ok(edge);
        }
        Box::pin(self.wait(call, id, Sight::Clear, look)).await
    }

    /// Waits until `look` finds what it wants of the edge of that id, as far as edges that are away are waited for.
    async fn wait<T>(
        &self,
        call: &mut Call,
        id: &ClientId,
        sight: Sight,
        look: impl Fn() -> Option<T>,
    ) -> Result<T, Unanswered> {
        let settings = self.settings.now(Settings::waiting);
        let _counted = self.record.waits();
        let wait = async {
            tokio::select! {
                biased;
                found = self.registry.waiting().wait(id, &settings, sight, look) => {
                    found.map_err(|absence| Failure::of_absence(absence, id))
                }
                () = self.is_left_for_good(id, sight) => Err(Failure::Draining { sent: false }),
            }
        };
        let (intake, reply) = (&mut call.intake, &mut call.reply);
        let wait = pin!(wait);
        let found = self.while_wanted(intake, reply, call.deadline, wait);
        Ok(found.await??)
    }

    /// Waits until this server goes away and no tunnel of that id is left that the caller may know of: an edge comes back to
    /// another server then.
    async fn is_left_for_good(&self, id: &ClientId, sight: Sight) {
        self.drain.cancelled().await;
        while sight == Sight::Clear
            && let Some(edge) = self.registry.get(id)
            && !edge.session().is_closed()
        {
            edge.session().closed().await;
        }
    }

    /// One try.
    async fn try_deliver(
        &self,
        call: &mut Call,
        edge: &Arc<EdgeHandle>,
    ) -> Result<Ending, Unanswered> {
        let id = edge.client_id();
        if !edge.may_serve(call.head.uri.path()) {
            return Err(Failure::NotServed(id.clone()).into());
        }
        let mut lanes = 0;
        let (stream, ended) = loop {
            let slot = self.admit(call, edge).await?;
            let ended = call.intake.is_over();
            let request = call.backend_request(edge).ok_or(Failure::Internal)?;
            match LaneStream::start(slot, request, ended) {
                Ok(stream) => break (stream, ended),
                // The lane ended just now. It takes no calls any more, so the next one is another.
                Err(_) if lanes < LANES => lanes += 1,
                Err(error) => return Err(Failure::of_stream(&error, id).into()),
            }
        };
        let ends = Ends {
            id,
            path: call.head.uri.path(),
            intake: &mut call.intake,
            reply: &mut call.reply,
            lanes: edge.lanes(),
            deadline: call.deadline,
            metadata: self.metadata,
        };
        let started = Instant::now();
        let ending = forward(ends, stream, ended).await;
        // A short deadline is a cancel that the caller leaves to us.
        let left = match &ending {
            Ok(ending) => ending.is_caller_gone(),
            Err(failure) => matches!(failure, Failure::Deadline { .. }),
        };
        if left {
            call.intake.caller().left(started.elapsed());
        }
        Ok(ending?)
    }

    /// A place on a lane.
    async fn admit(&self, call: &mut Call, edge: &Arc<EdgeHandle>) -> Result<Slot, Unanswered> {
        // A call that was cancelled before it was taken shall reach no lane.
        let (intake, reply) = (&mut call.intake, &mut call.reply);
        let unwanted = poll_fn(|cx| Poll::Ready(poll_unwanted(cx, intake, reply)));
        if let Poll::Ready(why) = unwanted.await {
            return Err(why);
        }
        let (caller, path) = (call.intake.caller(), call.head.uri.path());
        let in_pace = caller.is_in_pace();
        let at_once = || edge.lanes().acquire_at_once(path, caller.id());
        let acquired = match in_pace.then(at_once).flatten() {
            Some(acquired) => acquired,
            // Boxed: most need not wait.
            None => Box::pin(self.admit_in_turn(call, edge)).await?,
        };
        let id = edge.client_id();
        acquired.map_err(|no_lane| match no_lane {
            NoLane::Busy => Failure::EdgeBusy(id.clone()).into(),
            NoLane::Dial(failure) => Failure::of_dial(failure, id).into(),
        })
    }

    /// The same after those who came before, and after a lane was opened.
    async fn admit_in_turn(
        &self,
        call: &mut Call,
        edge: &Arc<EdgeHandle>,
    ) -> Result<Result<Slot, NoLane>, Unanswered> {
        let caller = Arc::clone(call.intake.caller());
        let acquire = async {
            caller.in_pace().await;
            let lanes = edge.lanes();
            lanes.acquire(call.head.uri.path(), caller.id()).await
        };
        let (intake, reply) = (&mut call.intake, &mut call.reply);
        let acquire = pin!(acquire);
        self.while_wanted(intake, reply, call.deadline, acquire)
            .await
    }

    /// Awaits `work` while it is wanted: within the call's time, with its caller there, and as long as calls may run.
    /// What the caller sends meanwhile is read.
    async fn while_wanted<T>(
        &self,
        intake: &mut Intake,
        reply: &mut Reply,
        deadline: Option<Instant>,
        work: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, Unanswered> {
        let caller = Arc::clone(intake.caller());
        tokio::select! {
            biased;
            // First: a call that was cancelled before it was taken shall reach no lane.
            why = poll_fn(|cx| poll_unwanted(cx, intake, reply)) => Err(why),
            done = work => Ok(done),
            () = moment::reached(deadline) => Err(Failure::Deadline { sent: false }.into()),
            () = caller.ends().cancelled() => Err(caller.why_ended(false).into()),
        }
    }
}

/// A mistake of ours that panics costs the call that meets it, and its caller a status. The log has it already.
fn answered(
    steps: impl Future<Output = Result<Ending, Unanswered>>,
) -> impl Future<Output = Result<Ending, Unanswered>> {
    let caught = AssertUnwindSafe(steps).catch_unwind();
    caught.map(|ending| ending.unwrap_or_else(|_| Err(Failure::Internal.into())))
}

/// Ready once the caller is gone, or what it sent is too much to be held. Reads what it sends.
fn poll_unwanted(cx: &mut Context<'_>, intake: &mut Intake, reply: &mut Reply) -> Poll<Unanswered> {
    if let Err(gone) = intake.poll_read(cx) {
        return Poll::Ready(gone.into());
    }
    if intake.is_too_much(cx, 0, 0) {
        return Poll::Ready(Failure::Overload { sent: false }.into());
    }
    reply.poll_gone(cx).map(Into::into)
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
        edge.context().put(request.headers_mut());
        if let Some(deadline) = self.deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            request
                .headers_mut()
                .insert(GRPC_TIMEOUT, timeout::format(left));
        }
        Some(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<F>(
        _: impl Fn(Arc<Proxy>, Box<Parts>, RecvStream, SendResponse<Bytes>, Arc<Caller>, OneCall) -> F,
    ) -> usize {
        size_of::<F>()
    }

    /// A call has all of this for as long as it lasts.
    #[test]
    fn a_call_is_small() {
        let size = size(Proxy::serve);
        assert!(size <= 2048, "{size} bytes");
    }
}
