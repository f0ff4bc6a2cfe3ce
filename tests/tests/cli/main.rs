//! `grpc-multiplexer-client list` and its siblings: what a user and a script see of them.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

mod check;
mod list;
mod operator;
mod rights;
mod run;
mod service;
mod watch;
