//! A session before its handshake is over: yamux runs, and the control stream is all there is.

use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::StreamExt as _;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use tokio::io::{AsyncReadExt as _, ReadHalf, WriteHalf};
use tokio::sync::{SetOnce, oneshot};
use tokio::time::Instant;
use yamux::Mode;

use super::heartbeat::Heartbeat;
use super::{
    Activity, Driver, HangUp, Inbox, Incoming, OpenRequest, Session, SessionTask, Shared, Streams,
    Wire, control, silence,
};
use crate::config::{HeartbeatTimes, TunnelConfig, yamux_config};
use crate::handshake::codec::MessageReader;
use crate::io::{BoxedIo, Coalescing};
use crate::message::control::Message;
use crate::speaks::{Speaks, may_be_originals};
use crate::stream::RawStream;
use crate::{Chance, Established, HandshakeError, SessionError};

/// More often than this no server makes an edge send heartbeats.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// Streams that the server opened and the edge did not take yet.
const EDGE_INBOX: usize = 64;
/// The same the other way: the control stream, before the hello. A server takes no other streams from edges, and each
/// that waited could hold many times its window in tiny frames.
const SERVER_INBOX: usize = 1;

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
    outbox: UnboundedReceiver<Box<Message>>,
    mode: Mode,
    heartbeat: Arc<HeartbeatTimes>,
    chance: Chance,
    first: Arc<OnceLock<Vec<u8>>>,
}

/// Gets the control stream: the first stream, opened by the edge.
pub(crate) struct ControlOpener {
    opens: UnboundedSender<OpenRequest>,
    inbox: UnboundedReceiver<Box<yamux::Stream>>,
}

impl ControlOpener {
    pub(crate) async fn open_control(&mut self) -> Result<ControlStream, HandshakeError> {
        let (answer, stream) = oneshot::channel();
        self.opens.unbounded_send(answer).map_err(|_| gone())?;
        stream.await.map(ControlStream::new).map_err(|_| gone())
    }

    pub(crate) async fn accept_control(&mut self) -> Result<ControlStream, HandshakeError> {
        let stream = self.inbox.next().await.ok_or_else(gone)?;
        Ok(ControlStream::new(*stream))
    }
}

fn gone() -> HandshakeError {
    HandshakeError::Lost(io::ErrorKind::BrokenPipe.into())
}

/// Puts yamux over `io`. Nothing moves until the driver is polled.
pub(crate) fn start(io: BoxedIo, mode: Mode, wire: Wire, config: &TunnelConfig) -> Start {
    let activity = Arc::new(Activity::new());
    let (opens, opens_queue) = unbounded();
    let most_inbound = match (wire, mode) {
        (Wire::Messages, Mode::Client) | (Wire::Bare, Mode::Server) => EDGE_INBOX,
        (Wire::Messages, Mode::Server) | (Wire::Bare, Mode::Client) => SERVER_INBOX,
    };
    let (inbox_in, inbox) = unbounded();
    let (outbox, outbox_queue) = unbounded();
    let mut io = Coalescing::new(io, Arc::clone(&activity));
    let first = io.first();
    let connection = yamux::Connection::new(io, yamux_config(), mode);
    // Tags of the edge are odd, of the server even, so that both may choose.
    let first_tag = match mode {
        Mode::Client => 1,
        Mode::Server => 2,
    };
    Start {
        driver: Driver::new(connection, opens_queue, Inbox::new(inbox_in, most_inbound)),
        opener: ControlOpener {
            opens: opens.clone(),
            inbox,
        },
        shared: Arc::new(Shared {
            wire,
            activity,
            streams: Streams::new(),
            opens,
            outbox,
            next_tag: AtomicU64::new(first_tag),
            close: OnceLock::new(),
            hang_up: HangUp::default(),
            drain: SetOnce::new(),
            superseded: SetOnce::new(),
            proven: SetOnce::new(),
            ended: SetOnce::new(),
        }),
        outbox: outbox_queue,
        mode,
        heartbeat: Arc::clone(&config.heartbeat),
        chance: config.chance.clone(),
        first,
    }
}

impl Start {
    /// What `error` is, seen by what the server said first: it may be none of ours.
    pub(crate) fn explain(&self, error: HandshakeError) -> HandshakeError {
        let speaks = self.first.get().and_then(|first| Speaks::of_server(first));
        match (error, speaks) {
            (error @ HandshakeError::Refused(_), _) | (error, None) => error,
            (_, Some(speaks)) => HandshakeError::Foreign(speaks),
        }
    }

    /// The same where the peer was told a hello. Only one that may be a server of the original's is worth the original's
    /// introduction: a server of ours that is too busy to accept, or to answer, would be lost to it otherwise.
    pub(crate) fn explain_hello(&self, error: HandshakeError) -> HandshakeError {
        let may_be_originals = self
            .first
            .get()
            .is_some_and(|first| may_be_originals(first));
        match self.explain(error) {
            error @ (HandshakeError::Lost(_) | HandshakeError::Timeout(_)) if !may_be_originals => {
                HandshakeError::Unanswered(Box::new(error))
            }
            error => error,
        }
    }

    /// What comes of `decision` as long as the peer is there: nothing else would see that it hangs up.
    pub(crate) async fn while_there<T>(
        &mut self,
        decision: impl Future<Output = T>,
    ) -> Result<T, HandshakeError> {
        let decision = async { Ok(decision.await) };
        self.driver.alongside(decision).await
    }

    /// The handle of the session to come.
    pub(crate) fn session(&self) -> Session {
        Session {
            shared: Arc::clone(&self.shared),
        }
    }

    pub(crate) fn establish(
        self,
        control: ControlStream,
        interval: Option<Duration>,
    ) -> Established {
        let mut times = self.heartbeat;
        if let Some(interval) = interval {
            // The server's word, within reason, where it wants to hear more often than we do.
            let longest = times.interval.max(SHORTEST_INTERVAL);
            let interval = interval.clamp(SHORTEST_INTERVAL, longest);
            if interval != times.interval {
                Arc::make_mut(&mut times).interval = interval;
            }
        }
        let now = Instant::now();
        let mut heartbeat = Heartbeat::new(times, now);
        if matches!(self.mode, Mode::Client) {
            heartbeat.defer();
        }
        if let Some(rtt) = control.first_round_trip {
            heartbeat.measured(now, rtt);
            self.shared.activity.set_rtt(heartbeat.rtt());
        }
        let shared = Arc::clone(&self.shared);
        let keeper = control::Loop::new(control, self.outbox, heartbeat, self.chance, shared);
        let keeper = keeper.run();
        established(self.driver, self.opener.inbox, keeper, self.shared)
    }

    /// A session of the original's wire, inside the control stream of `outer`: yamux in yamux.
    pub(crate) fn establish_bare(
        outer: Self,
        control: ControlStream,
        mode: Mode,
        config: &TunnelConfig,
    ) -> Established {
        let (reader, read) = control.reader.into_parts();
        let reader = io::Cursor::new(read).chain(reader);
        let io = Box::new(tokio::io::join(reader, control.writer));
        let inner = start(io, mode, Wire::Bare, config);
        let keeper = silence::watch(Arc::clone(&inner.shared));
        let driver = inner.driver.carried_by(outer.driver);
        established(driver, inner.opener.inbox, keeper, inner.shared)
    }
}

fn established(
    driver: Driver,
    inbox: UnboundedReceiver<Box<yamux::Stream>>,
    keeper: impl Future<Output = SessionError> + Send + 'static,
    shared: Arc<Shared>,
) -> Established {
    Established {
        session: Session {
            shared: Arc::clone(&shared),
        },
        incoming: Incoming::new(inbox, Arc::clone(&shared)),
        task: SessionTask::new(driver, Box::pin(keeper), shared),
    }
}
