//! The request's half of a call: what its caller sends, read as it comes, whether or not anybody takes it yet.
//!
//! It outlives a try, so that another one can begin where the request began.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::{RecvStream, SendStream};

use super::caller::Caller;
use super::flow::{End, Flow, TargetGone};
use super::reply::CallerGone;
use crate::overload::Load;

/// How long an upload is read on after its answer, at least and at most. DATA that is under way when a stream is reset
/// counts against the caller's connection, which dies of too much of it.
const DRAIN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(1));

#[derive(Debug)]
pub(crate) struct Intake {
    source: RecvStream,
    flow: Flow,
    caller: Arc<Caller>,
    load: Load,
}

impl Intake {
    /// Of its bytes the first `keep` are kept for another try. What the call holds counts as `load`.
    pub(crate) fn new(source: RecvStream, caller: Arc<Caller>, keep: usize, load: Load) -> Self {
        Self {
            source,
            flow: Flow::of_request(keep),
            caller,
            load,
        }
    }

    /// The connection that it comes by.
    pub(crate) fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }

    /// Bytes that came so far.
    pub(crate) fn moved(&self) -> u64 {
        self.flow.moved()
    }

    /// Bytes of them that did not go out yet.
    pub(crate) fn held(&self) -> usize {
        self.flow.held()
    }

    /// Whether what the call holds, here and `beside`, of all that it moved there, is needed by others. Its task is woken
    /// when it is.
    pub(crate) fn is_too_much(&mut self, cx: &Context<'_>, beside: usize, moved: u64) -> bool {
        let held = self.held() + beside;
        let passed = self.moved() + moved - held as u64;
        self.load.is(cx, held, passed)
    }

    /// Whether nothing is left of the request but its end.
    pub(crate) fn is_over(&self) -> bool {
        self.flow.is_over(&self.source)
    }

    /// Begins anew, this once. False when too much of it went out.
    pub(crate) fn rewind(&mut self) -> bool {
        self.flow.rewind()
    }

    /// There will be no other try.
    pub(crate) fn settle(&mut self) {
        self.flow.forget();
    }

    /// Takes what is there. What waits here is out of the window that the caller's other calls need.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<(), CallerGone> {
        let holdings = self.caller.holdings();
        match self.flow.poll_fill(cx, &mut self.source, holdings) {
            // A reset is no end: not even one with NO_ERROR may look like one to the backend.
            Poll::Ready(Err(_)) => Err(CallerGone),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    /// Passes on what `target` takes, with the end if it is a plain one.
    pub(crate) fn poll_pass(
        &mut self,
        cx: &mut Context<'_>,
        target: &mut SendStream<Bytes>,
    ) -> Poll<Result<(), TargetGone>> {
        let source = Some(&mut self.source);
        self.flow
            .poll_pass(cx, target, source, self.caller.holdings(), true)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.flow.has_ended()
    }

    pub(crate) fn take_end(&mut self) -> Option<End> {
        self.flow.take_end()
    }

    /// Reads on what the caller still sends, for a while, and throws it away.
    pub(crate) async fn drain(mut self) {
        self.discard();
        let (least, most) = DRAIN;
        let limit = (self.caller.rtt() * 4).clamp(least, most);
        let read = poll_fn(|cx| {
            loop {
                match self.source.poll_data(cx) {
                    Poll::Ready(Some(Ok(data))) => {
                        // The stream may be over, and with it its window.
                        let _ = self.source.flow_control().release_capacity(data.len());
                    }
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        });
        // Past this, dropping the stream resets it with NO_ERROR.
        let _ = tokio::time::timeout(limit, read).await;
    }

    fn discard(&mut self) {
        let source = Some(&mut self.source);
        self.flow.discard(source, self.caller.holdings());
    }
}

impl Drop for Intake {
    /// What is held will not go out: its credit goes back, or the connection would miss it while the stream lingers.
    fn drop(&mut self) {
        self.discard();
    }
}
