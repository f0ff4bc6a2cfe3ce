//! One stream of the tunnel, with HTTP/2's flow control towards the backend ended here.
//!
//! Spliced, a backend's window spans the whole way from the server to it: 64 KiB behind a round trip of 50 ms are 1.3 MB/s for
//! a call's upload, on whatever link. Here the backend's credit comes to the edge and stays there, and the server gets
//! credit of ours, which grows where the link is what limits.
//!
//! This is no proxy of calls. Streams keep their numbers, and all but DATA, WINDOW_UPDATE and the form of header blocks passes as
//! it came and when it came: resets, GOAWAY, SETTINGS, statuses. Of responses nothing is touched.
//!
//! [`Terminate`] is pure: bytes in, bytes out. What it keeps is bounded by the windows that it granted, and `carry` moves it.

mod budget;
mod carry;
mod from_backend;
mod from_server;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod state;
mod upload;

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::Instant;

pub(crate) use budget::Budget;
pub(crate) use carry::splice;
use from_backend::FromBackend;
use from_server::FromServer;
use state::State;

/// One connection of the server to the backend.
struct Terminate {
    from_server: FromServer,
    from_backend: FromBackend,
    state: State,
    to_backend: BytesMut,
    to_server: BytesMut,
    backend_ended: bool,
}

impl Terminate {
    fn new(budget: Budget, now: Instant) -> Self {
        Self {
            from_server: FromServer::new(),
            from_backend: FromBackend::new(),
            state: State::new(budget, now),
            to_backend: BytesMut::new(),
            to_server: BytesMut::new(),
            backend_ended: false,
        }
    }

    /// The server said something. What is left of `input` waits for more.
    ///
    /// # Errors
    ///
    /// `InvalidData` when it is not HTTP/2, or more than there was credit for.
    fn hear_server(&mut self, input: &mut BytesMut) -> io::Result<()> {
        self.from_server
            .push(input, &mut self.state, &mut self.to_backend)
    }

    /// The backend said something. What is left of `input` waits for more.
    ///
    /// # Errors
    ///
    /// `InvalidData` when its credit cannot be.
    fn hear_backend(&mut self, input: &mut BytesMut) -> io::Result<()> {
        self.from_backend
            .push(input, &mut self.state, &mut self.to_server)
    }

    /// Moves to `output` what the backend is to get now. The least round trip to the server is `rtt`.
    fn tell_backend(&mut self, now: Instant, rtt: Duration, output: &mut BytesMut) {
        if self.from_server.is_between_frames() {
            self.state.pass(now, rtt, &mut self.to_backend);
        }
        std::mem::swap(&mut self.to_backend, output);
    }

    /// Moves to `output` what the server is to get now.
    fn tell_server(&mut self, output: &mut BytesMut) {
        if self.from_backend.is_between_frames() {
            self.state.give(&mut self.to_server);
        }
        std::mem::swap(&mut self.to_server, output);
    }

    /// Whether there is something to tell the backend.
    fn has_news(&self) -> bool {
        !self.to_backend.is_empty() || self.from_server.is_between_frames() && self.state.is_ready()
    }

    /// The backend says no more than what is left of `input`, and gives no more credit.
    fn backend_ended(&mut self, input: &mut BytesMut) {
        self.to_server.unsplit(input.split());
        self.backend_ended = true;
    }

    /// Whether all that the server sent went on.
    fn is_drained(&self) -> bool {
        self.to_backend.is_empty() && self.state.is_drained()
    }
}

#[cfg(test)]
mod tests;
