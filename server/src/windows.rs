//! HTTP/2 receive windows: how much of them calls hold, and how far they should grow.
//!
//! A connection's window is shared by its calls. If it were fixed, a few callers that stop reading would hold all of it
//! and block everybody else. So the window is a base *plus what is held now* ([`Holdings`]): what stalled calls keep
//! never comes out of what others need, and memory is bounded by calls × stream window.
//!
//! A stream's window starts small, so that an innocent call never queues behind megabytes, and grows only on a
//! connection that carries bulk, toward twice bandwidth × *minimum* round trip ([`Tuner`]): a round trip inflated by
//! our own queue must not grow the queue. The calls that carry the bulk share that, so that hundreds of them hold no more
//! than one, and what queues before an innocent call is not as long as there are of them.

mod holdings;
mod tuner;

pub(crate) use holdings::{BulkCall, Holdings};
pub(crate) use tuner::Tuner;

/// First window of a stream.
pub(crate) const STREAM_WINDOW: u32 = 256 * 1024;
/// Largest frame that peers may send us: fewer frames for the same bytes, and on a link of 50 MB/s others are still in between
/// every millisecond.
pub(crate) const FRAME_SIZE: u32 = 64 * 1024;
/// DATA frames of any size may pile up behind a slow reader: they are drained eagerly and merged, so their count says
/// nothing about memory, and h2's budget for small ones would end the connection.
pub(crate) const DATA_FRAME_BUDGET: usize = 1 << 40;
/// Bytes that h2 may hold for one stream on their way out.
pub(crate) const SEND_BUFFER: usize = 256 * 1024;
