//! Tunnels: whose they are, which wire they speak, and what becomes of calls when one breaks.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

mod arriving;
mod cut;
#[cfg(unix)]
mod downgrade;
#[cfg(unix)]
mod identity;
#[cfg(unix)]
mod kick;
mod legacy;
mod liveness;
mod skew;
mod slots;
mod yamux;
