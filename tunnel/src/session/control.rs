//! The one task that owns the control stream: heartbeats, drain, goodbye, the ends of streams.

use std::sync::Arc;

use bytes::BytesMut;
use futures::StreamExt as _;
use futures::channel::mpsc::UnboundedReceiver;
use rand::Rng as _;
use tokio::io::{AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep_until, timeout};

use super::heartbeat::{Action, Heartbeat};
use super::{CLOSE_TIMEOUT, ControlStream, Shared};
use crate::handshake::codec::{self, MessageReader};
use crate::message::control::Message;
use crate::message::{Code, Control, Goodbye, Heartbeat as Beat};
use crate::stream::RawStream;
use crate::{Chance, SessionError};

/// Fields of [`Control`] that this version knows.
pub(crate) const KNOWN_FIELDS: std::ops::RangeInclusive<u32> = 1..=11;
/// Unsent bytes above which no further message is taken from the queue.
const UNSENT_HIGH: usize = 64 * 1024;
/// Unsent bytes above which the tunnel ends: the peer asks, and does not read the answers.
const UNSENT_MOST: usize = 256 * 1024;

pub(super) struct Loop {
    reader: MessageReader<ReadHalf<RawStream>>,
    writer: WriteHalf<RawStream>,
    unsent: BytesMut,
    outbox: UnboundedReceiver<Box<Message>>,
    heartbeat: Heartbeat,
    chance: Chance,
    shared: Arc<Shared>,
}

impl Loop {
    pub(super) fn new(
        control: ControlStream,
        outbox: UnboundedReceiver<Box<Message>>,
        heartbeat: Heartbeat,
        chance: Chance,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            reader: control.reader,
            writer: control.writer,
            unsent: BytesMut::new(),
            outbox,
            heartbeat,
            chance,
            shared,
        }
    }

    /// Runs until the tunnel is to end, and says why.
    #[expect(
        clippy::manual_async_fn,
        reason = "such a function has room for the loop twice"
    )]
    pub(super) fn run(mut self) -> impl Future<Output = SessionError> {
        async move {
            let Err(end) = self.converse().await;
            self.goodbye(end).await
        }
    }

    /// The last word, where the end is this side's.
    async fn goodbye(&mut self, end: SessionError) -> SessionError {
        let (code, reason) = match &end {
            SessionError::Closed(reason) => {
                // Everything queued goes first: the ends of streams among it.
                while let Ok(message) = self.outbox.try_recv() {
                    self.queue(*message);
                }
                let code = self.shared.close.get().map_or(Code::Ok, |(code, _)| *code);
                (code, reason)
            }
            SessionError::Violation { code, reason } => (*code, reason),
            _ => return end,
        };
        self.queue(Message::Goodbye(Goodbye {
            code: code.into(),
            reason: reason.clone(),
        }));
        // A peer that does not take it sees the close alone.
        let _ = timeout(CLOSE_TIMEOUT, self.writer.write_all_buf(&mut self.unsent)).await;
        end
    }

    async fn converse(&mut self) -> Result<std::convert::Infallible, SessionError> {
        loop {
            self.beat()?;
            if self.unsent.len() > UNSENT_MOST {
                return Err(violation(
                    Code::Limit,
                    "the peer does not read its control stream",
                ));
            }
            if let Some((_, reason)) = self.shared.close.get() {
                return Err(SessionError::Closed(reason.clone()));
            }
            let wake_at = self.heartbeat.wake_at(self.shared.activity.signs());
            tokio::select! {
                biased;
                message = self.reader.next::<Control>() => {
                    let message = message
                        .map_err(|error| violation(Code::Malformed, &error.to_string()))?
                        .ok_or_else(|| SessionError::Lost("closed by the peer".to_owned()))?;
                    self.hear(message)?;
                }
                sent = self.writer.write_buf(&mut self.unsent), if !self.unsent.is_empty() => {
                    sent.map_err(|error| SessionError::Lost(error.to_string()))?;
                    if self.unsent.is_empty() {
                        // It keeps room for what it had.
                        self.unsent = BytesMut::new();
                    }
                }
                Some(message) = self.outbox.next(), if self.unsent.len() < UNSENT_HIGH => {
                    self.queue(*message);
                }
                () = self.shared.activity.nudged() => {}
                () = sleep_until(wake_at) => {}
            }
        }
    }

    /// Does what the heartbeat wants done now.
    fn beat(&mut self) -> Result<(), SessionError> {
        let activity = Arc::clone(&self.shared.activity);
        if activity.take_asked() {
            self.heartbeat.hurry();
        }
        loop {
            let now = Instant::now();
            let signs = activity.signs();
            let idle = self.shared.streams.len() == 0;
            let jitter = self.chance.random();
            match self.heartbeat.tick(now, signs, idle, jitter) {
                None => return Ok(()),
                Some(Action::Ask(sequence)) => self.queue(Message::Heartbeat(Beat {
                    sequence,
                    answer: false,
                })),
                Some(Action::Suspect) => {
                    let silent = now.duration_since(signs.last_received);
                    tracing::info!(
                        ?silent,
                        "the tunnel owes a sign of life, and gets nothing new"
                    );
                    activity.set_suspected(true);
                }
                Some(Action::Trust) => {
                    tracing::info!("the tunnel shows signs of life again");
                    activity.set_suspected(false);
                }
                Some(Action::GiveUp) => {
                    return Err(SessionError::Silent(
                        now.duration_since(signs.last_received),
                    ));
                }
            }
        }
    }

    fn hear(&mut self, control: Control) -> Result<(), SessionError> {
        if let Some(field) = control.critical.iter().find(|f| !KNOWN_FIELDS.contains(f)) {
            let reason = format!("control message {field} is not known here");
            return Err(violation(Code::Unsupported, &reason));
        }
        match control.message {
            Some(Message::Heartbeat(Beat {
                sequence,
                answer: false,
            })) => self.queue(Message::Heartbeat(Beat {
                sequence,
                answer: true,
            })),
            Some(Message::Heartbeat(Beat {
                sequence,
                answer: true,
            })) => self.answered(sequence),
            Some(Message::StreamEnded(ended)) => self.shared.streams.peer_ended(&ended),
            Some(Message::Drain(drain)) => {
                // The first word counts.
                let _ = self.shared.drain.set(drain);
            }
            Some(Message::Goodbye(goodbye)) => return Err(SessionError::from(&goodbye)),
            Some(Message::Superseded(superseded)) => {
                // The first word counts here too.
                let _ = self.shared.superseded.set(superseded);
            }
            // A message of a later version.
            None => {}
            Some(Message::UpdateEndpoints(_)) => {
                let reason = "endpoints that change are not served here";
                return Err(violation(Code::Unsupported, reason));
            }
            Some(_) => {
                let reason = "a handshake message after the handshake";
                return Err(violation(Code::Malformed, reason));
            }
        }
        Ok(())
    }

    fn answered(&mut self, sequence: u64) {
        if self.heartbeat.answered(sequence, Instant::now()) {
            self.shared.activity.set_rtt(self.heartbeat.rtt());
            // Already proven is as good.
            let _ = self.shared.proven.set(());
        }
    }

    fn queue(&mut self, message: Message) {
        let control = Control {
            message: Some(message),
            critical: vec![],
        };
        if let Err(error) = codec::encode(&control, &mut self.unsent) {
            tracing::debug!(%error, "control message not sent");
        }
    }
}

fn violation(code: Code, reason: &str) -> SessionError {
    SessionError::Violation {
        code,
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<F>(_: impl Fn(Loop) -> F) -> usize {
        size_of::<F>()
    }

    /// An idle tunnel costs it as long as it is there.
    #[test]
    fn a_control_loop_is_small() {
        let size = size(Loop::run);
        assert!(size <= 512, "{size} bytes");
    }
}
