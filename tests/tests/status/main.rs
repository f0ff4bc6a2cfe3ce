//! What a caller is answered, and what a backend sees of a call: one right answer to each thing that happens.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

mod backend;
mod callers;
mod life;
mod refused;
mod seen;
mod theirs;
mod time;
