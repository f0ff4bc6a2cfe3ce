//! A live tunnel: the [`Session`] handle, and the work behind it.
//!
//! Two tasks serve a session: the driver, which alone owns and polls the yamux connection, and the control loop, which
//! alone owns the control stream (with a peer of the original's, which has none, `silence` stands in for it). Everybody
//! else holds a handle and talks to them through bounded queues.

mod activity;
mod control;
mod driver;
mod heartbeat;
mod inbound;
mod probe;
mod silence;
mod start;
mod streams;
mod task;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::BytesMut;
use futures::channel::mpsc::UnboundedSender;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{SetOnce, oneshot};
use tokio::time::{sleep, timeout};

pub(crate) use activity::Activity;
pub(crate) use control::KNOWN_FIELDS;
pub(crate) use driver::Driver;
use driver::HangUp;
pub(crate) use inbound::Inbox;
pub use inbound::{BARE_ENDPOINT, InboundStream, Incoming, PendingStream};
pub(crate) use start::{ControlStream, Start, start};
pub(crate) use streams::Streams;
pub use task::SessionTask;

use crate::handshake::codec;
use crate::message::control::Message;
use crate::message::{Code, Drain, Goodbye, Open, Opened, StreamEnded, Superseded, open};
use crate::stream::RawStream;
use crate::{OpenError, SessionError, TunnelStream};

/// How long a closing session may take to hand over its last bytes.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Control messages that may wait for the control loop. Streams say two messages in their life and there are at most
/// 224 of them, so a full queue means that the peer stopped reading its control stream.
const OUTBOX: usize = 1024;
/// What the peer may take for `Opened` beyond the time that the backend may take.
const OPEN_GRACE: Duration = Duration::from_secs(5);

/// Asks the driver for a new yamux stream.
type OpenRequest = oneshot::Sender<yamux::Stream>;

/// What two peers say to each other beside the bytes of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Protocol 1: a control stream, `Open` and `Opened`.
    Messages,
    /// The original's: nothing.
    Bare,
}

/// What the handle, the streams and the two tasks of one session share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) wire: Wire,
    pub(crate) activity: Arc<Activity>,
    pub(crate) streams: Streams,
    // Queues that cost next to nothing while they are empty, as they mostly are. How much may wait in one is said where
    // it is filled: here, each who asks has a permit for a stream.
    opens: UnboundedSender<OpenRequest>,
    outbox: UnboundedSender<Box<Message>>,
    next_tag: AtomicU64,
    /// What this side ends the session with. The control loop looks at it once it is nudged.
    close: OnceLock<(Code, String)>,
    hang_up: HangUp,
    drain: SetOnce<Drain>,
    superseded: SetOnce<Superseded>,
    proven: SetOnce<()>,
    ended: SetOnce<SessionError>,
}

impl Shared {
    /// Queues a control message. A full queue ends the session: the peer stopped listening.
    pub(crate) fn say(&self, message: Message) {
        if self.wire == Wire::Bare {
            return;
        }
        if self.outbox.len() < OUTBOX {
            // Nobody takes it once the session ends.
            let _ = self.outbox.unbounded_send(Box::new(message));
        } else {
            self.request_close(Code::Limit, "the peer does not read its control stream");
        }
    }

    fn end(&self, why: SessionError) {
        // The first reason stays.
        let _ = self.ended.set(why);
        self.streams.tunnel_lost();
    }

    /// Whether the tunnel has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.ended.get().is_some()
    }

    pub(crate) fn stream_ended(&self, ended: StreamEnded) {
        self.say(Message::StreamEnded(ended));
    }

    fn next_tag(&self) -> u64 {
        self.next_tag.fetch_add(2, Ordering::Relaxed)
    }

    fn request_close(&self, code: Code, reason: &str) {
        // The first reason stays.
        let _ = self.close.set((code, reason.to_owned()));
        self.activity.nudge();
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
    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

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
        let tag = self.shared.next_tag();
        let place = self.shared.streams.begin(tag, permit);
        // A peer that takes tags of ours gets no stream with them.
        let place = place.ok_or_else(|| OpenError::tag_taken(tag))?;
        let mut stream = TunnelStream::new(stream, tag, place, &self.shared);
        if self.is_legacy() {
            return Ok(stream);
        }
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
        self.shared.opens.unbounded_send(answer).ok()?;
        stream.await.ok().map(RawStream::new)
    }

    /// Tells the peer that this side is going away: take nothing new, finish what runs, and come again, elsewhere or
    /// here, after `again`.
    pub fn drain(&self, reason: &str, again: Duration) {
        self.shared.say(Message::Drain(Drain {
            reason: reason.to_owned(),
            retry_after: prost_types::Duration::try_from(again).ok(),
            ..Drain::default()
        }));
    }

    /// Tells the peer that another tunnel took the place of this one. What runs may finish; nothing new comes.
    pub fn supersede(&self, reason: &str) {
        self.shared.say(Message::Superseded(Superseded {
            reason: reason.to_owned(),
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

    /// Waits until the server says that another tunnel took the place of this one. It lives on until the server closes
    /// it: what is under way finishes.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn superseded(&self) -> &Superseded {
        self.shared.superseded.wait().await
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
        self.shared.is_over()
    }

    /// Whether new streams should go to this tunnel: it is up, and the peer does not owe a sign of life.
    #[must_use]
    pub fn in_rotation(&self) -> bool {
        !self.is_closed() && !self.shared.activity.is_suspected()
    }

    /// Waits until a peer that owed a sign of life gave one, and the tunnel is in rotation again. For one who waits; what
    /// happens in between is told next.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn back_in_rotation(&self) {
        self.shared.activity.trusted_again().await;
    }

    /// Whether the peer speaks the original's wire: it cannot be told of a drain, says nothing of how a stream ended,
    /// and answers no open.
    #[must_use]
    pub fn is_legacy(&self) -> bool {
        self.shared.wire == Wire::Bare
    }

    /// Waits until no stream moved a byte for `time`.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn quiet(&self, time: Duration) {
        let mut moved = self.shared.activity.moved();
        loop {
            sleep(time).await;
            let now = self.shared.activity.moved();
            if now == moved {
                return;
            }
            moved = now;
        }
    }

    /// Waits until the tunnel is known to work both ways: a heartbeat was answered, or, on the original's wire, a stream
    /// was accepted.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn proven(&self) {
        self.shared.proven.wait().await;
    }

    /// Whether [`Session::proven`] has nothing left to wait for.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.shared.proven.get().is_some()
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
