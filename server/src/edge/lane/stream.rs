//! One call on a lane: its stream, what became of it, and its cancel.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::Request;
use tokio::time::Instant;

use super::{Lane, LaneEnd, lock};
use crate::edge::gate::Meanwhile;
use crate::edge::lanes::Slot;
use crate::metrics::Hold;

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

/// One call on a lane. Dropped before its response ended, it is cancelled: reset when the [`Gate`](crate::edge::gate::Gate) allows.
#[derive(Debug)]
pub(crate) struct LaneStream {
    lane: Arc<Lane>,
    id: u32,
    /// `None` once handed to the gate or ended.
    live: Option<Held>,
}

/// What keeps a stream open, also after its call is gone.
#[derive(Debug)]
pub(super) struct Held {
    send: SendStream<Bytes>,
    receive: Receive,
    /// Since its call was given up.
    hold: Option<Hold>,
    slot: Slot,
}

#[derive(Debug)]
enum Receive {
    Headers(ResponseFuture),
    Body(RecvStream),
}

impl Held {
    /// Since when it waits for its reset.
    pub(super) fn since(&self) -> Option<Instant> {
        self.hold.as_ref().map(Hold::since)
    }

    pub(super) fn reset(mut self) {
        self.send.send_reset(Reason::CANCEL);
        self.slot.lane().resets.cancels().reset();
    }

    /// Reads and throws away, so that nobody's window is kept.
    pub(super) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Meanwhile {
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
                hold: None,
                slot,
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
            Some(reason) if error.is_go_away() => {
                // Before the lane's task gets to know: another try must not come here again.
                self.lane.retire();
                unprocessed(reason)
            }
            Some(Reason::REFUSED_STREAM) if error.is_remote() => StreamError::Refused,
            Some(reason) if error.is_remote() => StreamError::Reset(reason),
            Some(reason) => StreamError::Malformed(reason),
            None => StreamError::Malformed(Reason::INTERNAL_ERROR),
        }
    }
}

impl Drop for LaneStream {
    fn drop(&mut self) {
        let Some(mut held) = self.live.take() else {
            return;
        };
        let now = Instant::now();
        held.hold = Some(self.lane.resets.cancels().hold(now));
        let held = self.lane.gate().cancel(self.id, held, now);
        match held {
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
