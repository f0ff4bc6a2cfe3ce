//! What a connection said: its frames, with each header block as one.

use loona_hpack::Decoder;

use crate::frames::{self, END_HEADERS, Read, kind};

/// Names and values.
pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// A frame, or all frames of one header block.
#[derive(Debug)]
pub enum Item<'b> {
    /// Any other frame.
    Frame(Read<'b>),
    /// A header block.
    Block {
        /// Its stream.
        stream: u32,
        /// Whether the stream ends with it.
        ends: bool,
        /// Names and values.
        fields: Fields,
    },
}

/// The complete frames and header blocks in `bytes`, whose preface is off.
///
/// # Panics
///
/// When a header block cannot be read.
pub fn read(bytes: &[u8]) -> Vec<Item<'_>> {
    let mut decoder = Decoder::new();
    decoder.set_max_allowed_table_size(1024 * 1024);
    let mut frames = frames::read(bytes);
    let mut items = Vec::new();
    while let Some(frame) = frames.next() {
        if frame.kind != kind::HEADERS {
            items.push(Item::Frame(frame));
            continue;
        }
        let mut block = bare(&frame).to_vec();
        let mut last = frame;
        while last.flags & END_HEADERS == 0 {
            // What is not complete waits for its end.
            let Some(next) = frames.next() else {
                return items;
            };
            block.extend_from_slice(next.payload());
            last = next;
        }
        items.push(Item::Block {
            stream: frame.stream,
            ends: frame.ends(),
            fields: decoder.decode(&block).expect("a header block"),
        });
    }
    items
}

/// A HEADERS payload without its padding and priority.
fn bare<'b>(frame: &Read<'b>) -> &'b [u8] {
    const PADDED: u8 = 0x8;
    const PRIORITY: u8 = 0x20;
    let mut payload = frame.payload();
    if frame.flags & PADDED != 0 {
        let padding = usize::from(payload[0]);
        payload = &payload[1..payload.len() - padding];
    }
    if frame.flags & PRIORITY != 0 {
        payload = &payload[5..];
    }
    payload
}
