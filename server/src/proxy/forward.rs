//! One call, from its caller to a lane and back: headers, bytes, trailers, resets, credit.
//!
//! One small state machine polls both directions in the call's own task. It ends with an [`Ending`], or with a
//! [`Failure`] while nothing was answered yet, so that whoever holds the call may try again or answer. It never reads
//! messages and never invents an end: only END_STREAM from one side becomes END_STREAM to the other.

use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use grpc_multiplexer_tunnel::ClientId;
use h2::Reason;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Response, StatusCode, Version};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::WaitForCancellationFuture;

use super::code::Code;
use super::flow::{End, Flow};
use super::intake::Intake;
use super::metadata::{GRPC_STATUS, to_caller, trailers_to_backend};
use super::narrow::Narrow;
use super::reply::{CallerGone, Reply};
use super::rescue::Failure;
use super::stall::Stall;
use crate::edge::lane::{Lane, LaneStream};
use crate::edge::lanes::{BULK, Lanes};
use crate::limits::MetadataLimits;
use crate::windows::BulkCall;

/// What a backend that keeps the deadline itself may take to say so: its word is better than ours.
const DEADLINE_SLACK: Duration = Duration::from_millis(50);

/// How a call ended that was answered, or had nobody left to answer.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The backend's answer went through to its end.
    Complete(Code),
    /// A failure of ours ended it.
    Failed(Failure),
    /// The caller left.
    CallerGone,
}

impl Ending {
    pub(crate) fn is_caller_gone(&self) -> bool {
        matches!(self, Self::CallerGone)
    }
}

/// The parts of a call that the pump works on.
pub(crate) struct Ends<'a> {
    pub(crate) id: &'a ClientId,
    pub(crate) path: &'a str,
    pub(crate) intake: &'a mut Intake,
    pub(crate) reply: &'a mut Reply,
    pub(crate) lanes: &'a Arc<Lanes>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) metadata: MetadataLimits,
}

/// Why the pump stopped pumping.
enum Stop {
    /// Everything of the response went out.
    Complete(Code),
    CallerGone,
    /// The backend's half failed.
    Backend(h2::Error),
    /// We give up, with bytes still to pass on first.
    Failed(Failure),
    /// We give up at once.
    Cut(Failure),
    /// What the call holds is needed by others.
    Shed,
    /// The caller takes nothing.
    Stalled,
}

impl From<CallerGone> for Stop {
    fn from(_: CallerGone) -> Self {
        Self::CallerGone
    }
}

/// Pumps a call to its end. `Err` when it failed before anything was answered.
pub(crate) fn forward(
    ends: Ends<'_>,
    stream: LaneStream,
    request_ended: bool,
) -> impl Future<Output = Result<Ending, Failure>> {
    let lane = Arc::clone(stream.lane());
    let timer = ends
        .deadline
        .map(|deadline| Box::pin(sleep_until(deadline + DEADLINE_SLACK)));
    let caller = Arc::clone(ends.intake.caller());
    let mut pump = Pump {
        lane,
        stream: Some(stream),
        up_over: request_ended,
        down: Flow::default(),
        status_in_headers: None,
        uploads: None,
        downloads: None,
        failing: None,
        stall: Stall::default(),
        narrow: None,
        timer,
        ends,
    };
    // A block, in which the pump stays where it is: a function would have room twice for what it is made of.
    async move {
        let mut cut = pin!(caller.ends().cancelled());
        loop {
            let stop = poll_fn(|cx| pump.poll(cx, cut.as_mut())).await;
            match stop {
                Stop::Complete(code) => return Ok(pump.complete(code)),
                Stop::CallerGone => return Ok(Ending::CallerGone),
                Stop::Cut(failure) => return pump.cut(failure),
                Stop::Shed => return pump.shed(),
                Stop::Stalled => return Ok(pump.unread(Failure::SlowCaller)),
                Stop::Backend(error) => {
                    let failure = Box::pin(pump.explain(&error)).await;
                    pump.fail(failure)?;
                }
                Stop::Failed(failure) => pump.fail(failure)?,
            }
        }
    }
}

struct Pump<'a> {
    ends: Ends<'a>,
    lane: Arc<Lane>,
    /// `None` once the backend's half is over.
    stream: Option<LaneStream>,
    /// The request's end went out, or nobody reads it any more.
    up_over: bool,
    down: Flow,
    status_in_headers: Option<Code>,
    /// Where it moved much, it counts for the windows there.
    uploads: Option<BulkCall>,
    downloads: Option<BulkCall>,
    /// The failure to end with, once everything held went out.
    failing: Option<Box<Failure>>,
    stall: Stall,
    /// There once the upload waited.
    narrow: Option<Box<Narrow>>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Pump<'_> {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        cut: Pin<&mut WaitForCancellationFuture<'_>>,
    ) -> Poll<Stop> {
        match self.poll_all(cx, cut) {
            Ok(()) => Poll::Pending,
            Err(stop) => Poll::Ready(stop),
        }
    }

    /// Does what can be done now; an error is the reason to stop.
    fn poll_all(
        &mut self,
        cx: &mut Context<'_>,
        cut: Pin<&mut WaitForCancellationFuture<'_>>,
    ) -> Result<(), Stop> {
        if self.ends.reply.poll_gone(cx).is_ready() {
            return Err(Stop::CallerGone);
        }
        if let Some(timer) = &mut self.timer
            && timer.as_mut().poll(cx).is_ready()
        {
            return Err(Stop::Cut(Failure::Deadline { sent: true }));
        }
        if cut.poll(cx).is_ready() {
            return Err(Stop::Cut(self.ends.intake.caller().why_ended(true)));
        }
        self.poll_up(cx)?;
        self.poll_headers(cx)?;
        self.poll_down(cx)?;
        self.promote();
        let (held, moved) = (self.down.held(), self.down.moved());
        if self.ends.intake.is_too_much(cx, held, moved) {
            return Err(Stop::Shed);
        }
        Ok(())
    }

    /// Caller to backend.
    fn poll_up(&mut self, cx: &mut Context<'_>) -> Result<(), Stop> {
        if self.up_over {
            return Ok(());
        }
        let intake = &mut *self.ends.intake;
        intake.poll_read(cx)?;
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        let was_plain = intake.has_ended();
        match intake.poll_pass(cx, stream.send()) {
            Poll::Ready(Ok(())) => {
                let sent = match intake.take_end() {
                    Some(End::Plain) => stream.send().send_data(bytes::Bytes::new(), true).is_ok(),
                    Some(End::Trailers(mut trailers)) => {
                        if self.ends.metadata.are_passed_by(&trailers) {
                            return Err(Stop::Failed(Failure::Metadata { sent: true }));
                        }
                        trailers_to_backend(&mut trailers);
                        stream.send().send_trailers(*trailers).is_ok()
                    }
                    // The end went with the last bytes, or did not come yet.
                    None => was_plain,
                };
                self.up_over = sent;
                if let Some(narrow) = &mut self.narrow {
                    narrow.flows();
                }
            }
            // What the backend answered, or how it failed, comes by the other half.
            Poll::Ready(Err(_)) => self.up_over = true,
            Poll::Pending => self.look_at_window(),
        }
        Ok(())
    }

    /// The upload waits for room. Says so, once for a tunnel, where that is the backend's window.
    fn look_at_window(&mut self) {
        let (now, intake) = (Instant::now(), &*self.ends.intake);
        let passed = intake.moved() - intake.held() as u64;
        let Some(narrow) = &mut self.narrow else {
            self.narrow = Some(Box::new(Narrow::new(passed, now)));
            return;
        };
        if let Some(rtt) = self.ends.lanes.rtt()
            && let Some(limit) = narrow.waits(passed, now, rtt)
            && self.ends.lanes.is_first_narrow()
        {
            tracing::warn!(
                client_id = %self.ends.id,
                window_kib = limit.window / 1024,
                ?rtt,
                megabytes_per_second = (limit.rate / 1e5).round() / 10.0,
                "an upload waits for its backend's window, and not for the link: set backend-mode: terminate at the edge, or a \
                 larger window at the backend"
            );
        }
    }

    /// The response's headers.
    fn poll_headers(&mut self, cx: &mut Context<'_>) -> Result<(), Stop> {
        if self.ends.reply.has_started() {
            return Ok(());
        }
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        let Poll::Ready(parts) = stream.poll_response(cx) else {
            return Ok(());
        };
        let parts = parts.map_err(Stop::Backend)?;
        self.ends.intake.settle();
        let whole = stream.body().is_some_and(|body| body.is_end_stream());
        let status = parts.headers.get(GRPC_STATUS);
        self.status_in_headers = status.map(|status| Code::read(Some(status)));
        if self.ends.metadata.are_passed_by(&parts.headers) {
            return Err(Stop::Failed(Failure::ResponseMetadata));
        }
        if self.status_in_headers.is_none() {
            if parts.status != StatusCode::OK {
                return Err(Stop::Failed(Failure::HttpStatus(parts.status)));
            }
            if whole {
                return Err(Stop::Failed(Failure::NoStatus));
            }
        }
        let mut response = Response::new(());
        *response.version_mut() = Version::HTTP_2;
        *response.status_mut() = parts.status;
        *response.headers_mut() = parts.headers;
        to_caller(response.headers_mut());
        if !whole {
            // A promise of so many bytes is not ours to make: where the backend breaks it, the caller could not even
            // be told.
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        self.ends.reply.headers(response, whole)?;
        match self.status_in_headers {
            Some(code) if whole => Err(Stop::Complete(code)),
            _ => Ok(()),
        }
    }

    /// Backend to caller.
    fn poll_down(&mut self, cx: &mut Context<'_>) -> Result<(), Stop> {
        let holdings = self.lane.holdings();
        let Some(target) = self.ends.reply.body() else {
            return Ok(());
        };
        if let Some(body) = self.stream.as_mut().and_then(LaneStream::body)
            && let Poll::Ready(Err(error)) = self.down.poll_fill(cx, body, holdings)
        {
            return Err(Stop::Backend(error));
        }
        let body = self.stream.as_mut().and_then(LaneStream::body);
        let close = self.status_in_headers.is_some();
        let had_ended = self.down.has_ended();
        match self.down.poll_pass(cx, target, body, holdings, close) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Err(Stop::CallerGone),
            Poll::Pending => {
                let passed = self.down.moved() - self.down.held() as u64;
                let stalled = self.stall.poll(cx, passed).is_ready();
                return if stalled { Err(Stop::Stalled) } else { Ok(()) };
            }
        }
        self.stall.over();
        if let Some(failure) = self.failing.take() {
            return Err(Stop::Cut(*failure));
        }
        match (self.down.take_end(), self.status_in_headers) {
            (Some(End::Trailers(trailers)), _) => self.trailers(*trailers),
            (Some(End::Plain), Some(code)) => {
                self.ends.reply.end()?;
                Err(Stop::Complete(code))
            }
            (Some(End::Plain), None) => Err(Stop::Failed(Failure::NoStatus)),
            // The end went with the last bytes, which only a status in the headers allows.
            (None, Some(code)) if had_ended => {
                self.ends.reply.ended();
                Err(Stop::Complete(code))
            }
            (None, _) => Ok(()),
        }
    }

    fn trailers(&mut self, mut trailers: HeaderMap) -> Result<(), Stop> {
        if self.ends.metadata.are_passed_by(&trailers) {
            return Err(Stop::Failed(Failure::ResponseMetadata));
        }
        let status = trailers.get(GRPC_STATUS);
        let status = status.map(|status| Code::read(Some(status)));
        let Some(code) = status.or(self.status_in_headers) else {
            return Err(Stop::Failed(Failure::NoStatus));
        };
        to_caller(&mut trailers);
        self.ends.reply.trailers(trailers)?;
        Err(Stop::Complete(code))
    }

    /// A call that moves much makes room for those that do not.
    fn promote(&mut self) {
        let is_first = self.uploads.is_none() && self.downloads.is_none();
        if self.uploads.is_none() && self.ends.intake.moved() > BULK {
            let caller = self.ends.intake.caller();
            caller.promote();
            self.uploads = Some(caller.holdings().bulk_call());
        }
        if self.downloads.is_none() && self.down.moved() > BULK {
            self.downloads = Some(self.lane.holdings().bulk_call());
        }
        if is_first && (self.uploads.is_some() || self.downloads.is_some()) {
            self.ends.lanes.promote(&self.lane, self.ends.path);
        }
    }

    async fn explain(&self, error: &h2::Error) -> Failure {
        match &self.stream {
            Some(stream) => Failure::of_stream(&stream.explain(error).await, self.ends.id),
            None => Failure::Internal,
        }
    }

    /// Ends the backend's half with a failure: the answer, if there is none yet, and what comes after the bytes so far
    /// otherwise.
    fn fail(&mut self, failure: Failure) -> Result<(), Failure> {
        self.leave_backend(&failure);
        self.up_over = true;
        if self.ends.reply.has_started() {
            let failure = failure.after_headers(self.ends.id);
            self.failing = Some(Box::new(failure));
            return Ok(());
        }
        Err(failure)
    }

    /// Ends both halves with a failure now.
    fn cut(mut self, failure: Failure) -> Result<Ending, Failure> {
        self.leave_backend(&failure);
        if !self.ends.reply.has_started() {
            return Err(failure);
        }
        Ok(match self.ends.reply.fail(&failure) {
            Ok(()) => Ending::Failed(failure),
            Err(CallerGone) => Ending::CallerGone,
        })
    }

    /// Ends both halves to free what they hold.
    fn shed(self) -> Result<Ending, Failure> {
        let failure = Failure::Overload { sent: true };
        if self.down.held() == 0 {
            return self.cut(failure);
        }
        Ok(self.unread(failure))
    }

    /// Gives up a caller that does not read what waits for it. No status passes that. gRPC reads this reset as
    /// RESOURCE_EXHAUSTED.
    fn unread(mut self, failure: Failure) -> Ending {
        self.leave_backend(&failure);
        self.ends.reply.reset(Reason::ENHANCE_YOUR_CALM);
        Ending::Failed(failure)
    }

    /// Lets go of the backend's stream: cancelled if it is still there.
    fn leave_backend(&mut self, failure: &Failure) {
        let Some(stream) = self.stream.take() else {
            return;
        };
        let is_over = matches!(
            failure,
            Failure::BackendReset(_)
                | Failure::BackendLost(_)
                | Failure::BackendCalm { .. }
                | Failure::TunnelLost(_)
                | Failure::Unprocessed(_)
                | Failure::Refused
        );
        if is_over {
            stream.finish();
        }
    }

    /// The response is complete. An upload that is not is cut: the backend does not want it.
    fn complete(mut self, code: Code) -> Ending {
        if self.up_over
            && let Some(stream) = self.stream.take()
        {
            stream.finish();
        }
        Ending::Complete(code)
    }
}

impl Drop for Pump<'_> {
    /// What is held will not go out: its credit goes back, or the lane would miss it while the stream lingers.
    fn drop(&mut self) {
        let body = self.stream.as_mut().and_then(LaneStream::body);
        self.down.discard(body, self.lane.holdings());
    }
}
