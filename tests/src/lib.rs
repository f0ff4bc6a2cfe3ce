//! Harness for black-box tests: the real binaries as processes, scripted backends and callers in the test.
//!
//! Everything listens on loopback and on free ports, and stops with the test. Nothing sleeps: a test waits for a
//! condition, with one generous deadline for all.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test that meets what it did not expect is over"
)]

mod admin;
mod answer;
mod authority;
mod backend;
mod binaries;
mod caller;
mod errors_page;
mod folder;
mod frames;
mod hello;
mod keys;
mod load;
mod mux;
mod path;
mod process;
mod relay;
mod scripted;
pub mod secrets;
pub mod signer;
mod tap;
mod tokens;
mod wait;
pub mod yamux;

pub use admin::{free, is_ready, metric, page};
pub use answer::{Answer, ErrorInfo};
pub use authority::{Authority, DAY, Leaf};
pub use backend::{Backend, Ended, H2Call, Seen, pong};
pub use binaries::binary;
pub use caller::{Call, Caller};
pub use errors_page::{ErrorsRow, errors_page};
pub use folder::Folder;
pub use frames::{Frame, FrameConnection, HungUp, frame_backend, kind};
pub use hello::{auth, hello, says_hello, says_hello_from, whatever_becomes_of_rainbow};
pub use keys::{KEYS, KeyFiles};
pub use load::Load;
pub use mux::{Edge, Mux};
pub use path::Path;
pub use process::{Process, checked, command, isolated, output};
pub use relay::{Link, Relay};
pub use scripted::{ScriptedServer, ScriptedTunnel};
pub use tap::Tap;
pub use tokens::{TOKENS, Token};
pub use wait::{CUT, Change, DEADLINE, until, within};
