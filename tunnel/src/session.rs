//! A live tunnel: the [`Session`] handle, and the work behind it.
//!
//! Two tasks serve a session: the driver, which alone owns and polls the yamux connection, and the control loop, which
//! alone owns the control stream. Everybody else holds a handle and talks to them through bounded queues.

mod activity;
mod control;
mod driver;
mod heartbeat;
mod streams;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::{SetOnce, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use yamux::Mode;

pub(crate) use activity::Activity;
pub(crate) use control::KNOWN_FIELDS;
pub(crate) use driver::Driver;
pub(crate) use streams::Streams;

use crate::config::{HeartbeatTimes, TunnelConfig, yamux_config};
use crate::handshake::codec::{self, MessageReader};
use crate::io::{BoxedIo, Coalescing};
use crate::message::control::Message;
use crate::message::stream_ended::How;
use crate::message::{Code, Drain, Goodbye, Open, Opened, StreamEnded, open};
use crate::stream::RawStream;
use crate::{Established, HandshakeError, OpenError, SessionError, TunnelStream};
use heartbeat::Heartbeat;

/// Control messages that may wait for the control loop. Streams say two messages in their life and there are at most
/// 208 of them, so a full queue means that the peer stopped reading its control stream.
const OUTBOX: usize = 1024;
/// Streams that the server opened and the edge did not take yet.
const EDGE_INBOX: usize = 64;
/// The same the other way: the control stream, before the hello. A server takes no other streams from edges, and each
/// that waited could hold many times its window in tiny frames.
const SERVER_INBOX: usize = 1;
/// How long a closing session may take to hand over its last bytes.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// What the peer may take for `Opened` beyond the time that the backend may take.
const OPEN_GRACE: Duration = Duration::from_secs(5);

/// Asks the driver for a new yamux stream.
type OpenRequest = oneshot::Sender<yamux::Stream>;

/// What the handle, the streams and the two tasks of one session share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) activity: Arc<Activity>,
    pub(crate) streams: Streams,
    opens: mpsc::Sender<OpenRequest>,
    outbox: mpsc::Sender<Message>,
    next_tag: AtomicU64,
    close: SetOnce<(Code, String)>,
    drain: SetOnce<Drain>,
    proven: SetOnce<()>,
    ended: SetOnce<SessionError>,
}

impl Shared {
    /// Queues a control message. A full queue ends the session: the peer stopped listening.
    pub(crate) fn say(&self, message: Message) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.outbox.try_send(message) {
            self.request_close(Code::Limit, "the peer does not read its control stream");
        }
    }

    fn request_close(&self, code: Code, reason: &str) {
        // The first reason stays.
        let _ = self.close.set((code, reason.to_owned()));
    }
}

/// The handle of a live tunnel. Cheap to clone; the tunnel lives on without it.
#[derive(Clone)]
pub struct Session {
    shared: Arc<Shared>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("open", &!self.is_closed())
            .field("rtt", &self.rtt())
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Opens a stream of `kind` to the peer's endpoint `endpoint_id`, and waits until the peer has its backend.
    /// `dial_timeout` is what the backend may take.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]; in every case the backend saw nothing.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: a stream half opened is reset.
    pub async fn open(
        &self,
        kind: open::Kind,
        endpoint_id: u32,
        dial_timeout: Duration,
    ) -> Result<TunnelStream, OpenError> {
        let permit = self.shared.streams.permit(kind).ok_or(OpenError::Limit)?;
        let stream = self.raw_stream().await.ok_or(OpenError::Lost)?;
        let tag = self.shared.next_tag.fetch_add(2, Ordering::Relaxed);
        let mut stream = TunnelStream::new(stream, tag, permit, &self.shared);
        let open = Open {
            tag,
            kind: kind.into(),
            endpoint_id,
            dial_timeout: prost_types::Duration::try_from(dial_timeout).ok(),
            ..Open::default()
        };
        let limit = dial_timeout + OPEN_GRACE;
        let asked = timeout(limit, ask(&mut stream, &open)).await;
        match asked.unwrap_or(Err(OpenError::Timeout(limit))) {
            Ok(()) => {
                stream.start_counting();
                Ok(stream)
            }
            Err(error) => {
                if matches!(error, OpenError::Lost) {
                    // The peer dropped it unanswered, and will not speak of it again.
                    self.shared.streams.peer_ended(&StreamEnded {
                        tag,
                        ..StreamEnded::default()
                    });
                }
                Err(error)
            }
        }
    }

    async fn raw_stream(&self) -> Option<RawStream> {
        let (answer, stream) = oneshot::channel();
        self.shared.opens.send(answer).await.ok()?;
        stream.await.ok().map(RawStream::new)
    }

    /// Tells the peer that this side is going away: take nothing new, finish what runs.
    pub fn drain(&self, reason: &str) {
        self.shared.say(Message::Drain(Drain {
            reason: reason.to_owned(),
            ..Drain::default()
        }));
    }

    /// Waits until the peer says that it is going away.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn peer_drains(&self) -> &Drain {
        self.shared.drain.wait().await
    }

    /// Says goodbye and closes the tunnel. The first reason counts.
    pub fn close(&self, code: Code, reason: &str) {
        self.shared.request_close(code, reason);
    }

    /// Waits for the tunnel's end, and says why it ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn closed(&self) -> &SessionError {
        self.shared.ended.wait().await
    }

    /// Whether the tunnel has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.ended.get().is_some()
    }

    /// Whether new streams should go to this tunnel: it is up, and the peer does not owe a sign of life.
    #[must_use]
    pub fn in_rotation(&self) -> bool {
        !self.is_closed() && !self.shared.activity.is_suspected()
    }

    /// Waits until a heartbeat was answered: the tunnel works both ways.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn proven(&self) {
        self.shared.proven.wait().await;
    }

    /// Smallest round trip of the last minute, over hello and heartbeats.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        self.shared.activity.rtt()
    }

    /// Streams open now, the control stream not counted.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.shared.streams.len()
    }
}

async fn ask(stream: &mut TunnelStream, open: &Open) -> Result<(), OpenError> {
    let lost = |_: io::Error| OpenError::Lost;
    let mut frame = BytesMut::new();
    codec::encode(open, &mut frame).map_err(lost)?;
    stream.write_all(&frame).await.map_err(lost)?;
    let opened: Opened = codec::read_one(stream).await.map_err(lost)?;
    if opened.code() == Code::Ok {
        return Ok(());
    }
    Err(OpenError::Refused {
        code: opened.code(),
        reason: opened.reason,
    })
}

/// The streams that the peer opens.
#[derive(Debug)]
pub struct Incoming {
    inbox: mpsc::Receiver<yamux::Stream>,
    shared: Arc<Shared>,
}

impl Incoming {
    /// The next one, `None` once the tunnel ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn next(&mut self) -> Option<InboundStream> {
        let stream = self.inbox.recv().await?;
        Some(InboundStream {
            raw: RawStream::new(stream),
            shared: Arc::clone(&self.shared),
        })
    }
}

/// A stream that the peer opened and that waits for an answer.
#[derive(Debug)]
pub struct InboundStream {
    raw: RawStream,
    shared: Arc<Shared>,
}

/// Fields of [`Open`] that this version knows.
const KNOWN_OPEN_FIELDS: [u32; 7] = [1, 2, 3, 4, 5, 6, 15];

impl InboundStream {
    /// Reads what the peer wants, within `limit`.
    ///
    /// # Errors
    ///
    /// When nothing sensible comes in time, or as many streams as the tunnel takes are open. The stream is reset or
    /// refused then.
    pub async fn read_open(mut self, limit: Duration) -> Result<PendingStream, OpenError> {
        let open: Open = timeout(limit, codec::read_one(&mut self.raw))
            .await
            .map_err(|_| OpenError::Timeout(limit))?
            .map_err(|_| OpenError::Lost)?;
        let pending = PendingStream {
            raw: self.raw,
            shared: self.shared,
            open,
        };
        let critical = &pending.open.critical;
        if let Some(field) = critical.iter().find(|f| !KNOWN_OPEN_FIELDS.contains(f)) {
            let reason = format!("field {field} of Open is not known here");
            pending.refuse(Code::Unsupported, &reason).await;
            return Err(OpenError::Refused {
                code: Code::Unsupported,
                reason,
            });
        }
        Ok(pending)
    }
}

/// A stream whose wish is known.
#[derive(Debug)]
pub struct PendingStream {
    raw: RawStream,
    shared: Arc<Shared>,
    open: Open,
}

impl PendingStream {
    /// What the peer wants.
    #[must_use]
    pub fn open(&self) -> &Open {
        &self.open
    }

    /// Answers yes: a byte pipe from here on.
    ///
    /// # Errors
    ///
    /// [`OpenError::Limit`] when as many streams as the tunnel takes are open, [`OpenError::Lost`] when it is gone.
    pub async fn accept(self) -> Result<TunnelStream, OpenError> {
        let Some(permit) = self.shared.streams.permit(self.open.kind()) else {
            self.refuse(Code::Limit, "no more streams on this tunnel")
                .await;
            return Err(OpenError::Limit);
        };
        let mut stream = TunnelStream::new(self.raw, self.open.tag, permit, &self.shared);
        let opened = Opened::default();
        if let Err(error) = answer(&mut stream, &opened).await {
            // The opener gave it up, and may have said so before anybody here listened.
            self.shared.streams.peer_ended(&StreamEnded {
                tag: self.open.tag,
                ..StreamEnded::default()
            });
            return Err(error);
        }
        stream.start_counting();
        Ok(stream)
    }

    /// Answers no.
    pub async fn refuse(mut self, code: Code, reason: &str) {
        let opened = Opened {
            code: code.into(),
            reason: reason.to_owned(),
            retry_after: None,
        };
        if answer(&mut self.raw, &opened).await.is_ok() {
            // Lost with the tunnel, if at all.
            let _ = self.raw.shutdown().await;
        }
        self.shared.stream_ended(StreamEnded {
            tag: self.open.tag,
            how: How::Local.into(),
            bytes_sent: 0,
        });
    }
}

async fn answer(
    stream: &mut (impl tokio::io::AsyncWrite + Unpin),
    opened: &Opened,
) -> Result<(), OpenError> {
    let mut frame = BytesMut::new();
    codec::encode(opened, &mut frame).map_err(|_| OpenError::Lost)?;
    stream.write_all(&frame).await.map_err(|_| OpenError::Lost)
}

/// The control stream, before and after the handshake.
pub(crate) struct ControlStream {
    pub(crate) reader: MessageReader<ReadHalf<RawStream>>,
    pub(crate) writer: WriteHalf<RawStream>,
    pub(crate) first_round_trip: Option<Duration>,
}

impl ControlStream {
    fn new(stream: yamux::Stream) -> Self {
        let (reader, writer) = tokio::io::split(RawStream::new(stream));
        Self {
            reader: MessageReader::new(reader),
            writer,
            first_round_trip: None,
        }
    }
}

/// A session before its handshake.
pub(crate) struct Start {
    pub(crate) driver: Driver,
    pub(crate) opener: ControlOpener,
    shared: Arc<Shared>,
    outbox: mpsc::Receiver<Message>,
    heartbeat: HeartbeatTimes,
}

/// Gets the control stream: the first stream, opened by the edge.
pub(crate) struct ControlOpener {
    opens: mpsc::Sender<OpenRequest>,
    inbox: mpsc::Receiver<yamux::Stream>,
}

impl ControlOpener {
    pub(crate) async fn open_control(&mut self) -> Result<ControlStream, HandshakeError> {
        let (answer, stream) = oneshot::channel();
        self.opens.send(answer).await.map_err(|_| gone())?;
        stream.await.map(ControlStream::new).map_err(|_| gone())
    }

    pub(crate) async fn accept_control(&mut self) -> Result<ControlStream, HandshakeError> {
        let stream = self.inbox.recv().await.ok_or_else(gone)?;
        Ok(ControlStream::new(stream))
    }
}

fn gone() -> HandshakeError {
    HandshakeError::Lost(io::ErrorKind::BrokenPipe.into())
}

/// Puts yamux over `io`. Nothing moves until the driver is polled.
pub(crate) fn start(io: BoxedIo, mode: Mode, config: &TunnelConfig) -> Start {
    let activity = Arc::new(Activity::new());
    let (opens, opens_queue) = mpsc::channel(1);
    let inbox_size = match mode {
        Mode::Client => EDGE_INBOX,
        Mode::Server => SERVER_INBOX,
    };
    let (inbox_in, inbox) = mpsc::channel(inbox_size);
    let (outbox, outbox_queue) = mpsc::channel(OUTBOX);
    let connection = yamux::Connection::new(
        Coalescing::new(io, Arc::clone(&activity)),
        yamux_config(),
        mode,
    );
    // Tags of the edge are odd, of the server even, so that both may choose.
    let first_tag = match mode {
        Mode::Client => 1,
        Mode::Server => 2,
    };
    Start {
        driver: Driver::new(connection, opens_queue, inbox_in),
        opener: ControlOpener {
            opens: opens.clone(),
            inbox,
        },
        shared: Arc::new(Shared {
            activity,
            streams: Streams::new(),
            opens,
            outbox,
            next_tag: AtomicU64::new(first_tag),
            close: SetOnce::new(),
            drain: SetOnce::new(),
            proven: SetOnce::new(),
            ended: SetOnce::new(),
        }),
        outbox: outbox_queue,
        heartbeat: config.heartbeat.clone(),
    }
}

impl Start {
    pub(crate) fn establish(
        self,
        control: ControlStream,
        interval: Option<Duration>,
    ) -> Established {
        let mut times = self.heartbeat;
        if let Some(interval) = interval {
            // The server's word, within reason.
            times.interval = interval.clamp(Duration::from_secs(1), Duration::from_secs(60));
        }
        let now = Instant::now();
        let mut heartbeat = Heartbeat::new(times, now);
        if let Some(rtt) = control.first_round_trip {
            heartbeat.measured(now, rtt);
            self.shared.activity.set_rtt(heartbeat.rtt());
        }
        let session = Session {
            shared: Arc::clone(&self.shared),
        };
        let incoming = Incoming {
            inbox: self.opener.inbox,
            shared: Arc::clone(&self.shared),
        };
        let task = SessionTask {
            driver: self.driver,
            control: control::Loop::new(control, self.outbox, heartbeat, Arc::clone(&self.shared)),
            shared: self.shared,
        };
        Established {
            session,
            incoming,
            task,
        }
    }
}

/// The work behind a [`Session`].
#[must_use = "a session does nothing unless its task runs"]
pub struct SessionTask {
    driver: Driver,
    control: control::Loop,
    shared: Arc<Shared>,
}

impl fmt::Debug for SessionTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionTask").finish_non_exhaustive()
    }
}

impl SessionTask {
    /// Runs the tunnel to its end, and says why it ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cuts the tunnel; its handles learn it.
    pub async fn run(self) -> SessionError {
        let Self {
            driver,
            control,
            shared,
        } = self;
        let _always = EndOnDrop(Arc::clone(&shared));
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(driver.run(stop.clone()));
        let mut control = std::pin::pin!(control.run());
        let end = tokio::select! {
            biased;
            end = &mut control => end,
            lost = tasks.join_next() => {
                // The peer's last words may still wait in the control stream.
                let words = timeout(CLOSE_TIMEOUT, control).await;
                match words {
                    Ok(end @ SessionError::Goodbye { .. }) => end,
                    _ => SessionError::Lost(describe(lost)),
                }
            }
        };
        shared.end(end.clone());
        // A goodbye is on its way out.
        if let SessionError::Closed(_) | SessionError::Violation { .. } = end {
            stop.cancel();
            // Past this the socket is dropped, which also ends it.
            let _ = timeout(CLOSE_TIMEOUT, tasks.join_next()).await;
        }
        end
    }
}

/// A session whose task is dropped, or panics, has ended too.
struct EndOnDrop(Arc<Shared>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0
            .end(SessionError::Lost("its task was dropped".to_owned()));
    }
}

impl Shared {
    fn end(&self, why: SessionError) {
        // The first reason stays.
        let _ = self.ended.set(why);
        self.streams.tunnel_lost();
    }

    pub(crate) fn stream_ended(&self, ended: StreamEnded) {
        self.say(Message::StreamEnded(ended));
    }
}

fn describe(
    joined: Option<Result<Result<(), yamux::ConnectionError>, tokio::task::JoinError>>,
) -> String {
    match joined {
        Some(Ok(Err(error))) => error.to_string(),
        Some(Err(error)) => error.to_string(),
        Some(Ok(Ok(()))) | None => "closed by the peer".to_owned(),
    }
}

impl From<&Goodbye> for SessionError {
    fn from(goodbye: &Goodbye) -> Self {
        Self::Goodbye {
            code: goodbye.code(),
            reason: goodbye.reason.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
