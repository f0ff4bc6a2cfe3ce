//! The one task that owns a yamux connection.
//!
//! It must be polled for anything to move, also when nobody reads a stream. It opens streams on request and passes on
//! those that the peer opens; it knows nothing of what they carry. A driver whose bytes are a stream of another session
//! (yamux in yamux) drives that one too.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream as _;
use futures::channel::mpsc::UnboundedReceiver;
use futures::task::AtomicWaker;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use yamux::{Connection, ConnectionError};

use super::{Inbox, OpenRequest, Shared};
use crate::HandshakeError;
use crate::io::Coalescing;

pub(crate) struct Driver {
    connection: Connection<Coalescing>,
    opens: UnboundedReceiver<OpenRequest>,
    waiting: Option<OpenRequest>,
    inbox: Inbox,
    carrier: Option<Box<Carrier>>,
}

/// The session whose stream a driver's bytes travel on.
struct Carrier {
    driver: Driver,
    ticks: Interval,
}

/// Tells a driver that its session is over: what it has to send goes out, and nothing more comes.
#[derive(Debug, Default)]
pub(super) struct HangUp {
    is_said: AtomicBool,
    driver: AtomicWaker,
}

impl HangUp {
    pub(super) fn say(&self) {
        self.is_said.store(true, Ordering::Release);
        self.driver.wake();
    }

    /// Whether it was said. If not, whoever asks is woken then.
    fn is_said(&self, cx: &Context<'_>) -> bool {
        self.driver.register(cx.waker());
        self.is_said.load(Ordering::Acquire)
    }
}

/// yamux sends its pings, of which a peer may want to see one now and then, only when it is polled.
const TICK: Duration = Duration::from_secs(15);

impl Driver {
    pub(super) fn new(
        connection: Connection<Coalescing>,
        opens: UnboundedReceiver<OpenRequest>,
        inbox: Inbox,
    ) -> Self {
        Self {
            connection,
            opens,
            waiting: None,
            inbox,
            carrier: None,
        }
    }

    /// This driver's bytes travel on a stream of `carrier`.
    pub(super) fn carried_by(mut self, carrier: Self) -> Self {
        let mut ticks = interval_at(Instant::now() + TICK, TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.carrier = Some(Box::new(Carrier {
            driver: carrier,
            ticks,
        }));
        self
    }

    /// Moves bytes until the connection ends.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        if let Some(carrier) = &mut self.carrier {
            while carrier.ticks.poll_tick(cx).is_ready() {}
        }
        let own = self.poll_own(cx);
        match &mut self.carrier {
            // Last, so that what was just written leaves now. What it brings wakes this task again.
            Some(carrier) if own.is_pending() => carrier.driver.poll(cx),
            _ => own,
        }
    }

    fn poll_own(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        loop {
            if self.poll_open(cx)?.is_ready() {
                continue;
            }
            match self.connection.poll_next_inbound(cx) {
                Poll::Ready(Some(Ok(stream))) => {
                    self.inbox.put(stream);
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Serves one request for a stream.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        if self.waiting.is_none() {
            match Pin::new(&mut self.opens).poll_next(cx) {
                Poll::Ready(Some(request)) => self.waiting = Some(request),
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
        match self.connection.poll_new_outbound(cx) {
            Poll::Ready(Ok(stream)) => {
                if let Some(request) = self.waiting.take() {
                    // Whoever asked may be gone: the stream was never announced, and dropping it is enough.
                    let _ = request.send(stream);
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Drives the connection while `conversation` goes on over it, and returns what that returns.
    pub(crate) async fn alongside<T>(
        &mut self,
        conversation: impl Future<Output = Result<T, HandshakeError>>,
    ) -> Result<T, HandshakeError> {
        let mut conversation = pin!(conversation);
        let end = tokio::select! {
            biased;
            result = &mut conversation => return result,
            end = poll_fn(|cx| self.poll(cx)) => end,
        };
        // The peer's last words, such as a refusal, may still wait in the stream.
        match futures::poll!(conversation) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(HandshakeError::Lost(match end {
                Ok(()) => io::ErrorKind::UnexpectedEof.into(),
                Err(error) => io::Error::other(error),
            })),
        }
    }

    /// Drives the connection until the peer closes it.
    pub(crate) async fn until_closed(&mut self) {
        // However it ended, it is over.
        let _ = poll_fn(|cx| self.poll(cx)).await;
    }

    /// Drives the connection to its end, or to an orderly close once the session hangs up.
    pub(super) fn run(
        mut self,
        shared: Arc<Shared>,
    ) -> impl Future<Output = Result<(), ConnectionError>> {
        poll_fn(move |cx| {
            if shared.hang_up.is_said(cx) {
                self.poll_close(cx)
            } else {
                self.poll(cx)
            }
        })
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        let own = self.connection.poll_close(cx);
        match &mut self.carrier {
            None => own,
            Some(carrier) if own.is_pending() => carrier.driver.poll(cx),
            Some(carrier) => carrier.driver.poll_close(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<F>(_: impl Fn(Driver, Arc<Shared>) -> F) -> usize {
        size_of::<F>()
    }

    /// An idle tunnel costs it as long as it is there.
    #[test]
    fn a_driver_is_small() {
        let size = size(Driver::run);
        assert!(size <= 672, "{size} bytes");
    }
}
