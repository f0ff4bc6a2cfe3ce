//! Peers that send too much, or too slowly: they lose their connection or are kept to a pace, and whoever calls the same
//! edge meanwhile notices nothing.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]
#![allow(clippy::print_stdout, reason = "how long calls took is worth a look")]

mod backends;
mod bench;
mod edges;
mod frames;
mod headers;
mod resets;
mod unread;
