//! Streams that the peer opens: what they are for, and the answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures::StreamExt as _;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::{Shared, Wire};
use crate::handshake::codec;
use crate::message::open::Kind;
use crate::message::stream_ended::How;
use crate::message::{Code, Open, Opened, StreamEnded};
use crate::stream::RawStream;
use crate::{OpenError, TunnelStream};

/// Where the driver puts the streams that the peer opens.
pub(crate) struct Inbox {
    queue: UnboundedSender<Box<yamux::Stream>>,
    most: usize,
}

impl Inbox {
    /// So many wait in it at most.
    pub(super) fn new(queue: UnboundedSender<Box<yamux::Stream>>, most: usize) -> Self {
        Self { queue, most }
    }

    /// Where it is full the stream is dropped, which resets it: an answer, not a wait.
    pub(super) fn put(&self, stream: yamux::Stream) {
        if self.queue.len() < self.most {
            // Nobody takes it once the session ends.
            let _ = self.queue.unbounded_send(Box::new(stream));
        }
    }
}

/// The streams that the peer opens.
#[derive(Debug)]
pub struct Incoming {
    inbox: UnboundedReceiver<Box<yamux::Stream>>,
    shared: Arc<Shared>,
}

impl Incoming {
    pub(super) fn new(inbox: UnboundedReceiver<Box<yamux::Stream>>, shared: Arc<Shared>) -> Self {
        Self { inbox, shared }
    }

    /// The next one, `None` once the tunnel ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn next(&mut self) -> Option<InboundStream> {
        let stream = self.inbox.next().await?;
        Some(InboundStream {
            raw: RawStream::new(*stream),
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

/// The only endpoint of an edge on the original's wire.
pub const BARE_ENDPOINT: u32 = 1;

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
        if self.shared.wire == Wire::Bare {
            return Ok(self.unasked());
        }
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

    /// What every stream of the original's wire is for: the one endpoint, HTTP/2.
    fn unasked(self) -> PendingStream {
        let open = Open {
            tag: self.shared.next_tag(),
            kind: Kind::H2.into(),
            endpoint_id: BARE_ENDPOINT,
            ..Open::default()
        };
        PendingStream {
            raw: self.raw,
            shared: self.shared,
            open,
        }
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
    /// [`OpenError::Limit`] when as many streams as the tunnel takes are open, [`OpenError::Lost`] when it is gone,
    /// [`OpenError::Refused`] when another stream has its tag.
    pub async fn accept(self) -> Result<TunnelStream, OpenError> {
        let Some(permit) = self.shared.streams.permit(self.open.kind()) else {
            self.refuse(Code::Limit, "no more streams on this tunnel")
                .await;
            return Err(OpenError::Limit);
        };
        let tag = self.open.tag;
        let Some(place) = self.shared.streams.begin(tag, permit) else {
            let taken = OpenError::tag_taken(tag);
            self.refuse(Code::Malformed, &taken.to_string()).await;
            return Err(taken);
        };
        let mut stream = TunnelStream::new(self.raw, tag, place, &self.shared);
        if self.shared.wire == Wire::Bare {
            // Already proven is as good.
            let _ = self.shared.proven.set(());
            return Ok(stream);
        }
        let opened = Opened::default();
        if let Err(error) = answer(&mut stream, &opened).await {
            // The opener gave it up, and may have said so before anybody here listened.
            self.shared.streams.peer_ended(&StreamEnded {
                tag,
                ..StreamEnded::default()
            });
            return Err(error);
        }
        stream.start_counting();
        Ok(stream)
    }

    /// Answers no.
    pub async fn refuse(mut self, code: Code, reason: &str) {
        if self.shared.wire == Wire::Bare {
            // Dropped, and so reset: there are no words.
            return;
        }
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

async fn answer(stream: &mut (impl AsyncWrite + Unpin), opened: &Opened) -> Result<(), OpenError> {
    let mut frame = BytesMut::new();
    codec::encode(opened, &mut frame).map_err(|_| OpenError::Lost)?;
    stream.write_all(&frame).await.map_err(|_| OpenError::Lost)
}
