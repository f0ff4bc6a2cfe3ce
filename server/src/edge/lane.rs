//! One lane: an HTTP/2 connection to the backend, over one stream of the tunnel.
//!
//! Calls share it through [`Lane`]; one task alone polls the connection, grows its windows and lets cancelled streams
//! go. The server never sends an HTTP/2 PING here: it would reach the backend, and backends count pings as abuse.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use grpc_multiplexer_tunnel::message::{Code, open::Kind};
use grpc_multiplexer_tunnel::{OpenError, PeerEnd, Session, StreamEnd};
use h2::client::{Connection, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::Request;
use tokio::sync::SetOnce;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

use super::gate::{Gate, Meanwhile};
use super::lanes::Slot;
use super::sniff::{FirstFrame, Sniffed, Sniffer};
use crate::windows::{Holdings, STREAM_WINDOW, Tuner};

/// Calls on one lane at a time, if the backend allows as many.
pub(crate) const CALLS: usize = 256;
/// A lane without calls is closed after this.
const IDLE: Duration = Duration::from_secs(30);
/// Largest header list that is read at all. Our own limit is far lower; this one must be so high that too large a list
/// fails its call: h2 ends the lane at four times this, and drops what is over it from trailers without a word.
const HEADER_LIST: u32 = 4 * 1024 * 1024;
/// DATA frames of any size may pile up behind a slow reader: they are drained eagerly and merged, so the count of
/// frames says nothing about memory.
const DATA_FRAME_BUDGET: usize = 1 << 40;
/// Bytes that h2 may hold for one stream on their way out.
const SEND_BUFFER: usize = 256 * 1024;
/// How long the word on why a stream ended may trail its end.
const WORD_OF_END: Duration = Duration::from_secs(1);

/// Why no lane could be opened: nothing of a call reached the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DialFailure {
    Refused,
    Dns,
    Tls,
    Alpn,
    NotHttp2,
    Timeout,
    /// The tunnel is gone, or the edge would not serve the stream.
    Unprocessed,
}

/// Why a lane ended, as far as its calls care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LaneEnd {
    /// The backend's connection closed or broke.
    BackendLost,
    /// The backend closed it, telling us to calm down.
    BackendCalm,
    /// The tunnel went first.
    TunnelLost,
}

/// What calls share of one HTTP/2 connection.
#[derive(Debug)]
pub(crate) struct Lane {
    sender: Mutex<Option<SendRequest<Bytes>>>,
    calls: AtomicUsize,
    bulk: AtomicBool,
    closing: AtomicBool,
    gate: Mutex<Gate<Held>>,
    holdings: Holdings,
    end: SetOnce<LaneEnd>,
}

impl Lane {
    /// Opens a stream for the lane, and waits until the backend spoke HTTP/2 on it.
    pub(crate) async fn open(
        session: &Session,
        endpoint_id: u32,
        dial_timeout: Duration,
    ) -> Result<(Arc<Self>, LaneTask), DialFailure> {
        let started = Instant::now();
        let stream = session
            .open(Kind::H2, endpoint_id, dial_timeout)
            .await
            .map_err(dial_failure)?;
        let peer = stream.peer_end();
        let (io, sniffed) = Sniffer::new(stream);
        // One limit for all that the backend has to do.
        let greet = timeout_at(started + dial_timeout, greet(io, &sniffed));
        let (sender, connection) = match greet.await {
            Ok(Ok(greeted)) => greeted,
            // The tunnel went, and the backend is not to blame.
            _ if session.is_closed() => return Err(DialFailure::Unprocessed),
            Ok(Err(failure)) => return Err(failure),
            Err(_) => return Err(DialFailure::Timeout),
        };
        let lane = Arc::new(Self {
            sender: Mutex::new(Some(sender)),
            calls: AtomicUsize::new(0),
            bulk: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            gate: Mutex::new(Gate::new()),
            holdings: Holdings::default(),
            end: SetOnce::new(),
        });
        let task = LaneTask {
            lane: Arc::clone(&lane),
            connection,
            session: session.clone(),
            peer,
            tuner: Tuner::new(),
            target: 0,
            timer: Box::pin(sleep_until(Instant::now())),
            idle_since: None,
        };
        Ok((lane, task))
    }

    /// Whether a new call can start here.
    pub(crate) fn takes_calls(&self) -> bool {
        let mut sender = lock(&self.sender);
        let Some(sender) = sender.as_mut() else {
            return false;
        };
        // After a GOAWAY the calls it spares go on, but a new one would be thrown back, and its one retry with it.
        let mut nobody = Context::from_waker(Waker::noop());
        if let Poll::Ready(Err(_)) = sender.poll_ready(&mut nobody) {
            self.retire();
            return false;
        }
        let limit = CALLS.min(sender.current_max_send_streams());
        !self.closing.load(Ordering::Relaxed) && self.calls() < limit && self.gate().takes_calls()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    pub(crate) fn call_started(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn call_ended(&self) {
        if self.calls.fetch_sub(1, Ordering::Relaxed) == 1 {
            // The task starts to wait for the lane's idle end.
            self.holdings.wake();
        }
    }

    pub(crate) fn is_bulk(&self) -> bool {
        self.bulk.load(Ordering::Relaxed)
    }

    /// A call of this lane moved much: its windows may grow, and new calls go elsewhere.
    pub(crate) fn promote(&self) {
        if !self.bulk.swap(true, Ordering::Relaxed) {
            self.holdings.wake();
        }
    }

    /// Bytes that calls of this lane received and could not pass on yet.
    pub(crate) fn holdings(&self) -> &Holdings {
        &self.holdings
    }

    /// Takes no new call, and ends when the last one on it did.
    pub(crate) fn close(&self) {
        self.retire();
        self.holdings.wake();
    }

    /// Takes no new call; calls on it go on.
    fn retire(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// The lane ended; the first reason counts.
    fn over(&self, end: LaneEnd) {
        self.retire();
        drop(lock(&self.sender).take());
        let _ = self.end.set(end);
        let held = self.gate().clear();
        drop(held);
    }

    fn gate(&self) -> MutexGuard<'_, Gate<Held>> {
        lock(&self.gate)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while the lock is held leaves state that is still whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn dial_failure(error: OpenError) -> DialFailure {
    match error {
        OpenError::Timeout(_) => DialFailure::Timeout,
        OpenError::Refused { code, .. } => match code {
            Code::BackendRefused => DialFailure::Refused,
            Code::BackendDns => DialFailure::Dns,
            Code::BackendTls => DialFailure::Tls,
            Code::BackendAlpn => DialFailure::Alpn,
            Code::BackendTimeout => DialFailure::Timeout,
            _ => DialFailure::Unprocessed,
        },
        _ => DialFailure::Unprocessed,
    }
}

type H2 = (SendRequest<Bytes>, Connection<Sniffer, Bytes>);

/// Says our preface, and waits for the backend's.
async fn greet(io: Sniffer, sniffed: &Sniffed) -> Result<H2, DialFailure> {
    let not_http2 = |_: h2::Error| match sniffed.get() {
        FirstFrame::Nothing | FirstFrame::Settings => DialFailure::Refused,
        FirstFrame::NotHttp2 => DialFailure::NotHttp2,
    };
    let (sender, mut connection) = h2::client::Builder::new()
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(Holdings::default().target(STREAM_WINDOW))
        .max_header_list_size(HEADER_LIST)
        .max_send_buffer_size(SEND_BUFFER)
        .data_frame_budget(DATA_FRAME_BUDGET)
        // What is still under way when we reset a stream is not the backend's fault, and is thrown away while the reset
        // is remembered. A longer memory costs 370 bytes per cancelled call: a tenth of the process after ten thousand.
        // A straggler past it costs one more reset and a place in a count that ends the lane at 1,024, hence none.
        .max_concurrent_reset_streams(100_000)
        .reset_stream_duration(Duration::from_secs(1))
        .max_local_error_reset_streams(None)
        .handshake(io)
        .await
        .map_err(not_http2)?;
    poll_fn(|cx| {
        let over = Pin::new(&mut connection).poll(cx);
        match (sniffed.get(), over) {
            (FirstFrame::Settings, Poll::Pending) => Poll::Ready(Ok(())),
            (FirstFrame::NotHttp2, _) => Poll::Ready(Err(DialFailure::NotHttp2)),
            (_, Poll::Ready(Err(error))) => Poll::Ready(Err(not_http2(error))),
            (_, Poll::Ready(Ok(()))) => Poll::Ready(Err(DialFailure::Refused)),
            (FirstFrame::Nothing, Poll::Pending) => Poll::Pending,
        }
    })
    .await?;
    Ok((sender, connection))
}

/// Why a call on a lane failed.
#[derive(Debug)]
pub(crate) enum StreamError {
    /// The backend did not process the call, and will not.
    Unprocessed,
    /// The same, because it is overloaded.
    UnprocessedCalm,
    /// The backend refused the stream.
    Refused,
    /// The backend reset the stream.
    Reset(Reason),
    /// What the backend sent is malformed; h2 reset the stream.
    Malformed(Reason),
    /// The lane ended.
    Lane(LaneEnd),
}

/// One call on a lane. Dropped before its response ended, it is cancelled: reset when the [`Gate`] allows.
#[derive(Debug)]
pub(crate) struct LaneStream {
    lane: Arc<Lane>,
    id: u32,
    /// `None` once handed to the gate or ended.
    live: Option<Held>,
}

/// What keeps a stream open, also after its call is gone.
#[derive(Debug)]
struct Held {
    send: SendStream<Bytes>,
    receive: Receive,
    _slot: Slot,
}

#[derive(Debug)]
enum Receive {
    Headers(ResponseFuture),
    Body(RecvStream),
}

impl Held {
    fn reset(mut self) {
        self.send.send_reset(Reason::CANCEL);
    }

    /// Reads and throws away, so that nobody's window is kept.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Meanwhile {
        let mut meanwhile = Meanwhile::Nothing;
        loop {
            match &mut self.receive {
                Receive::Headers(response) => match Pin::new(response).poll(cx) {
                    Poll::Ready(Ok(response)) => {
                        let (parts, body) = response.into_parts();
                        if proves_acceptance(&parts, &body) {
                            meanwhile = Meanwhile::Answered;
                        }
                        self.receive = Receive::Body(body);
                    }
                    Poll::Ready(Err(_)) => return Meanwhile::Ended,
                    Poll::Pending => return meanwhile,
                },
                Receive::Body(body) => match body.poll_data(cx) {
                    Poll::Ready(Some(Ok(data))) => {
                        // An error means that the stream is gone.
                        let _ = body.flow_control().release_capacity(data.len());
                    }
                    Poll::Ready(_) => return Meanwhile::Ended,
                    Poll::Pending => return meanwhile,
                },
            }
        }
    }
}

impl LaneStream {
    /// Writes the request's headers.
    pub(crate) fn start(
        slot: Slot,
        request: Request<()>,
        end_of_stream: bool,
    ) -> Result<Self, StreamError> {
        let lane = Arc::clone(slot.lane());
        let sender = lock(&lane.sender).clone();
        let mut sender = sender.ok_or(StreamError::Unprocessed)?;
        // The gate's lock keeps the order of ids and of `opened` the same.
        let mut gate = lane.gate();
        let (response, send) = sender
            .send_request(request, end_of_stream)
            .map_err(|error| {
                // After a GOAWAY, an end, or the last stream id, no other call needs to try.
                lane.retire();
                unsent(&error)
            })?;
        let id = response.stream_id().as_u32();
        gate.opened(id);
        drop(gate);
        Ok(Self {
            lane,
            id,
            live: Some(Held {
                send,
                receive: Receive::Headers(response),
                _slot: slot,
            }),
        })
    }

    pub(crate) fn lane(&self) -> &Arc<Lane> {
        &self.lane
    }

    fn live(&mut self) -> &mut Held {
        self.live.as_mut().expect("taken only by drop and finish")
    }

    /// The request's half.
    pub(crate) fn send(&mut self) -> &mut SendStream<Bytes> {
        &mut self.live().send
    }

    /// The response's body, once its headers came.
    pub(crate) fn body(&mut self) -> Option<&mut RecvStream> {
        match &mut self.live().receive {
            Receive::Body(body) => Some(body),
            Receive::Headers(_) => None,
        }
    }

    /// Both halves, once the response's headers came.
    pub(crate) fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<http::response::Parts, h2::Error>> {
        let Receive::Headers(response) = &mut self.live().receive else {
            return Poll::Pending;
        };
        let response = std::task::ready!(Pin::new(response).poll(cx))?;
        let (parts, body) = response.into_parts();
        if proves_acceptance(&parts, &body) {
            let mut gate = self.lane.gate();
            gate.answered(self.id);
            if gate.held() > 0 {
                drop(gate);
                self.lane.holdings.wake();
            }
        }
        self.live().receive = Receive::Body(body);
        Poll::Ready(Ok(parts))
    }

    /// The response ended, in order: nothing is left to reset but an upload that nobody reads.
    pub(crate) fn finish(mut self) {
        self.lane.gate().ended(self.id);
        drop(self.live.take());
    }

    /// What an error of this stream means. Asks why the lane ended where that matters.
    pub(crate) async fn explain(&self, error: &h2::Error) -> StreamError {
        if error.is_io() || (error.is_go_away() && !error.is_remote()) {
            return StreamError::Lane(*self.lane.end.wait().await);
        }
        match error.reason() {
            Some(reason) if error.is_go_away() => unprocessed(reason),
            Some(Reason::REFUSED_STREAM) if error.is_remote() => StreamError::Refused,
            Some(reason) if error.is_remote() => StreamError::Reset(reason),
            Some(reason) => StreamError::Malformed(reason),
            None => StreamError::Malformed(Reason::INTERNAL_ERROR),
        }
    }
}

impl Drop for LaneStream {
    fn drop(&mut self) {
        let Some(held) = self.live.take() else { return };
        let now = self.lane.gate().cancel(self.id, held);
        match now {
            Some(held) => held.reset(),
            // The lane's task takes it from here.
            None => self.lane.holdings.wake(),
        }
    }
}

fn unsent(error: &h2::Error) -> StreamError {
    match error.reason() {
        Some(reason) if error.is_go_away() && error.is_remote() => unprocessed(reason),
        _ => StreamError::Unprocessed,
    }
}

fn unprocessed(reason: Reason) -> StreamError {
    if reason == Reason::ENHANCE_YOUR_CALM {
        StreamError::UnprocessedCalm
    } else {
        StreamError::Unprocessed
    }
}

/// A response of the application, and not a refusal by what stands before it.
fn proves_acceptance(parts: &http::response::Parts, body: &RecvStream) -> bool {
    let refusal = body.is_end_stream()
        && parts
            .headers
            .get("grpc-status")
            .is_some_and(|status| status == "1" || status == "8");
    parts.status == http::StatusCode::OK && !refusal
}

/// The work behind a [`Lane`].
pub(crate) struct LaneTask {
    lane: Arc<Lane>,
    connection: Connection<Sniffer, Bytes>,
    session: Session,
    peer: PeerEnd,
    tuner: Tuner,
    target: u32,
    timer: Pin<Box<Sleep>>,
    idle_since: Option<Instant>,
}

impl LaneTask {
    /// Runs the connection to its end. Nothing is left of the lane then.
    pub(crate) async fn run(mut self) {
        let _always = EndOnDrop(Arc::clone(&self.lane));
        let result = poll_fn(|cx| self.poll(cx)).await;
        self.lane.retire();
        let Self { connection, .. } = self;
        // Closes the stream, and with it what the edge still says about it.
        drop(connection);
        let end = why(&result, &self.peer, &self.session).await;
        tracing::debug!(?end, error = ?result.err(), "lane closed");
        self.lane.over(end);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        self.lane.holdings.register(cx.waker());
        loop {
            let now = Instant::now();
            let markers = self.mark(now);
            self.poll_held(cx);
            self.grow(now);
            self.retarget();
            let idle = self.idle(now);
            if let Poll::Ready(end) = Pin::new(&mut self.connection).poll(cx) {
                return Poll::Ready(end);
            }
            let Some(wake_at) = [markers, idle].into_iter().flatten().min() else {
                return Poll::Pending;
            };
            if self.timer.deadline() != wake_at {
                self.timer.as_mut().reset(wake_at);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Lets go of held streams that may be reset now, or ended by themselves.
    fn poll_held(&self, cx: &mut Context<'_>) {
        let mut over = Vec::new();
        let mut gate = self.lane.gate();
        if gate.held() == 0 {
            return;
        }
        gate.look_after_held(|held| held.poll_discard(cx));
        while let Some(held) = gate.release() {
            over.push(held);
        }
        drop(gate);
        // Without the lock: what a handle does when it goes is not ours to know.
        over.into_iter().for_each(Held::reset);
    }

    /// Sends a marker if one is due. Returns when to come back.
    fn mark(&mut self, now: Instant) -> Option<Instant> {
        let lane = Arc::clone(&self.lane);
        let mut gate = lane.gate();
        if gate.marker_at(now)? <= now {
            let window = self.tuner.window();
            let sent = self.connection.set_initial_window_size(window).is_ok();
            gate.marker_tried(now, sent);
        }
        gate.marker_at(now)
    }

    /// Grows the stream window if the lane carries bulk. Whatever could grow it brings bytes, and so polls this task.
    fn grow(&mut self, now: Instant) {
        if !self.lane.is_bulk() {
            return;
        }
        let received = self.lane.holdings.received();
        if let Some(window) = self.tuner.sample(now, received, self.session.rtt()) {
            // While another SETTINGS is out, the next sample tries again.
            if self.connection.set_initial_window_size(window).is_ok() {
                self.tuner.grown(window);
            }
        }
    }

    /// Keeps the connection's window at its base beyond what is held.
    fn retarget(&mut self) {
        let target = self.lane.holdings.target(self.tuner.window());
        if target != self.target {
            self.target = target;
            self.connection.set_target_window_size(target);
        }
    }

    /// Closes the lane when it had no call for long. Returns when to come back.
    fn idle(&mut self, now: Instant) -> Option<Instant> {
        if self.lane.calls() > 0 {
            self.idle_since = None;
            return None;
        }
        let since = *self.idle_since.get_or_insert(now);
        if now < since + IDLE && !self.lane.is_over() {
            return Some(since + IDLE);
        }
        self.lane.retire();
        // A call that chose the lane a moment ago finds no sender, and goes elsewhere.
        drop(lock(&self.lane.sender).take());
        None
    }
}

/// A lane whose task panics has ended too, and its calls must learn it.
struct EndOnDrop(Arc<Lane>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.over(LaneEnd::BackendLost);
    }
}

/// Why the lane ended: what the edge said of the stream, where the tunnel is still there to say it.
async fn why(result: &Result<(), h2::Error>, peer: &PeerEnd, session: &Session) -> LaneEnd {
    let calm = result
        .as_ref()
        .is_err_and(|error| error.is_remote() && error.reason() == Some(Reason::ENHANCE_YOUR_CALM));
    if calm {
        return LaneEnd::BackendCalm;
    }
    let word = tokio::select! {
        biased;
        word = peer.wait() => Some(word),
        _ = session.closed() => Some(StreamEnd::TunnelLost),
        () = tokio::time::sleep(WORD_OF_END) => None,
    };
    match word {
        Some(StreamEnd::TunnelLost) => LaneEnd::TunnelLost,
        _ => LaneEnd::BackendLost,
    }
}
