//! The caller's half of a call: where the answer goes.

use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::{HeaderMap, Response};

use super::rescue::Failure;

/// The caller is gone: it reset the call, or its connection ended.
#[derive(Debug)]
pub(crate) struct CallerGone;

#[derive(Debug)]
pub(crate) struct Reply {
    state: State,
}

#[derive(Debug)]
enum State {
    /// No headers yet.
    Waiting(SendResponse<Bytes>),
    /// Headers went out.
    Streaming(SendStream<Bytes>),
    /// The end went out.
    Over,
}

impl Reply {
    pub(crate) fn new(respond: SendResponse<Bytes>) -> Self {
        Self {
            state: State::Waiting(respond),
        }
    }

    /// Whether the response's headers went out.
    pub(crate) fn has_started(&self) -> bool {
        !matches!(self.state, State::Waiting(_))
    }

    /// Whether the response's end went out.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Ready once the caller is gone.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<CallerGone> {
        let gone = match &mut self.state {
            State::Waiting(respond) => respond.poll_reset(cx).map(|_| ()),
            State::Streaming(stream) => stream.poll_reset(cx).map(|_| ()),
            State::Over => Poll::Pending,
        };
        gone.map(|()| CallerGone)
    }

    /// Sends the response's headers, as the whole response if `end`.
    pub(crate) fn headers(&mut self, response: Response<()>, end: bool) -> Result<(), CallerGone> {
        let State::Waiting(respond) = &mut self.state else {
            return Err(CallerGone);
        };
        let stream = respond
            .send_response(response, end)
            .map_err(|_| CallerGone)?;
        self.state = if end {
            State::Over
        } else {
            State::Streaming(stream)
        };
        Ok(())
    }

    /// Where the response's body goes, between its headers and its end.
    pub(crate) fn body(&mut self) -> Option<&mut SendStream<Bytes>> {
        match &mut self.state {
            State::Streaming(stream) => Some(stream),
            State::Waiting(_) | State::Over => None,
        }
    }

    /// The end went out with the last bytes.
    pub(crate) fn ended(&mut self) {
        self.state = State::Over;
    }

    /// Ends the response without trailers.
    pub(crate) fn end(&mut self) -> Result<(), CallerGone> {
        let sent = self
            .body()
            .map(|stream| stream.send_data(Bytes::new(), true));
        self.state = State::Over;
        sent.and_then(Result::ok).ok_or(CallerGone)
    }

    /// Ends the response.
    pub(crate) fn trailers(&mut self, trailers: HeaderMap) -> Result<(), CallerGone> {
        let sent = self.body().map(|stream| stream.send_trailers(trailers));
        self.state = State::Over;
        sent.and_then(Result::ok).ok_or(CallerGone)
    }

    /// Ends the response with a failure of ours: as one frame where nothing went out yet, else as trailers.
    pub(crate) fn fail(&mut self, failure: &Failure) -> Result<(), CallerGone> {
        if self.has_started() {
            return self.trailers(failure.trailers());
        }
        let (response, body) = failure.response();
        self.headers(response, body.is_none())?;
        let Some(body) = body else { return Ok(()) };
        let sent = self.body().map(|stream| stream.send_data(body, true));
        self.state = State::Over;
        sent.and_then(Result::ok).ok_or(CallerGone)
    }

    /// Gives the call up without a status: the caller must not take what it has for the whole.
    pub(crate) fn reset(&mut self, reason: Reason) {
        match &mut self.state {
            State::Waiting(respond) => respond.send_reset(reason),
            State::Streaming(stream) => stream.send_reset(reason),
            State::Over => {}
        }
        self.state = State::Over;
    }
}
