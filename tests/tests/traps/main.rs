//! What HTTP/2 lets peers do to each other does nothing to anybody else.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

mod forms;
mod frames;
mod limits;
