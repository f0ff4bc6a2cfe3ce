//! Calls that are cancelled cost no other call anything.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

mod bursts;
mod counted;
