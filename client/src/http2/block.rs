//! Header blocks, decoded, and written anew without the use of the dynamic table, so that what one side remembers need not
//! fit the other, and blocks may change places.

use std::io;

use bytes::{BufMut as _, BytesMut};
use loona_hpack::Decoder;

use super::frame::{
    CONTINUATION, END_HEADERS, END_STREAM, FRAME, HEAD, HEADERS, Head, PADDED, PRIORITY,
};
use super::{huffman, invalid};

/// Largest header block, compressed and with the heads of its frames, and largest list in it, that is rewritten: beyond
/// what gRPC's libraries take by default, so that too much metadata is the backend's to refuse, and no end of the tunnel.
pub(crate) const BLOCK: usize = 32 * 1024 * 1024;
/// Largest dynamic table that a backend's SETTINGS may have granted the server.
const TABLE: usize = 1024 * 1024;

/// The header blocks of one direction of a connection, in their order.
pub(crate) struct Blocks {
    decoder: Decoder<'static>,
    /// One whose end has not come.
    partial: Option<Block>,
}

/// A header block, from its HEADERS on.
pub(crate) struct Block {
    pub(crate) stream: u32,
    pub(crate) end_stream: bool,
    fragments: BytesMut,
    /// Bytes of its frames.
    taken: usize,
}

impl Blocks {
    pub(crate) fn new() -> Self {
        let mut decoder = Decoder::new();
        decoder.set_max_allowed_table_size(TABLE);
        Self {
            decoder,
            partial: None,
        }
    }

    /// Whether a frame with that head belongs to a block, or is where only such a one may be.
    pub(crate) fn takes(&self, head: &Head) -> bool {
        head.kind == HEADERS || self.partial.is_some()
    }

    /// Takes the frame at the front of `input`, once all of it is there. A block whose end it is comes back.
    ///
    /// # Errors
    ///
    /// `InvalidData` when it is not the next of its block, or makes that too large.
    pub(crate) fn take(&mut self, head: &Head, input: &mut BytesMut) -> io::Result<Taken> {
        if head.frame() > BLOCK {
            return Err(too_large());
        }
        if input.len() < head.frame() {
            return Ok(Taken::Nothing);
        }
        let frame = input.split_to(head.frame());
        let block = extended(self.partial.take(), head, &frame[HEAD..])?;
        if head.has(END_HEADERS) {
            return Ok(Taken::Block(block));
        }
        self.partial = Some(block);
        Ok(Taken::Part)
    }

    /// Tells `each` every field of `block`. Every block must come here, in turn.
    ///
    /// # Errors
    ///
    /// `InvalidData` when it is no header block, or unpacks to too much.
    pub(crate) fn decode(
        &mut self,
        block: &Block,
        mut each: impl FnMut(&[u8], &[u8]),
    ) -> io::Result<()> {
        let plain = huffman::plain(&block.fragments)?;
        let mut size = 0;
        let decoded = self.decoder.decode_with_cb(&plain, |name, value| {
            size += name.len() + value.len() + 32;
            // What is over the limit is only counted.
            if size <= BLOCK {
                each(&name, &value);
            }
        });
        decoded.map_err(|error| invalid(&format!("no header block: {error:?}")))?;
        if size > BLOCK {
            return Err(too_large());
        }
        Ok(())
    }
}

/// What became of a frame.
pub(crate) enum Taken {
    /// It is not all there.
    Nothing,
    /// More of its block is to come.
    Part,
    Block(Block),
}

impl Block {
    /// A block without fields that is to stand for this one. The backend may wait for what it says of the table's size.
    pub(crate) fn anew(&self) -> BytesMut {
        BytesMut::from(size_updates(&self.fragments))
    }
}

/// Writes a block as frames.
pub(crate) fn write(stream: u32, end_stream: bool, mut block: BytesMut, output: &mut BytesMut) {
    let mut kind = HEADERS;
    let mut flags = if end_stream { END_STREAM } else { 0 };
    loop {
        let fragment = block.split_to(block.len().min(FRAME));
        if block.is_empty() {
            flags |= END_HEADERS;
        }
        let head = Head {
            length: fragment.len(),
            kind,
            flags,
            stream,
        };
        head.write(output);
        output.extend_from_slice(&fragment);
        if block.is_empty() {
            return;
        }
        (kind, flags) = (CONTINUATION, 0);
    }
}

/// The block with one more of its frames.
fn extended(partial: Option<Block>, head: &Head, payload: &[u8]) -> io::Result<Block> {
    let mut block = match partial {
        None => Block {
            stream: head.stream,
            end_stream: head.has(END_STREAM),
            fragments: BytesMut::from(bare(payload, head)?),
            taken: 0,
        },
        Some(mut block) if head.kind == CONTINUATION && head.stream == block.stream => {
            block.fragments.extend_from_slice(payload);
            block
        }
        Some(_) => return Err(invalid("a header block is interrupted")),
    };
    block.taken += head.frame();
    if block.taken > BLOCK {
        return Err(too_large());
    }
    Ok(block)
}

fn too_large() -> io::Error {
    invalid("a call's metadata is over 32 MiB")
}

/// A HEADERS payload without its padding and priority.
fn bare<'p>(payload: &'p [u8], head: &Head) -> io::Result<&'p [u8]> {
    let wrong = || invalid("a HEADERS frame is shorter than its padding");
    let (mut payload, mut padding) = (payload, 0);
    if head.has(PADDED) {
        let (length, rest) = payload.split_first().ok_or_else(wrong)?;
        (payload, padding) = (rest, usize::from(*length));
    }
    if head.has(PRIORITY) {
        payload = payload.get(5..).ok_or_else(wrong)?;
    }
    let length = payload.len().checked_sub(padding).ok_or_else(wrong)?;
    Ok(&payload[..length])
}

/// The changes of the dynamic table's size that a block begins with.
fn size_updates(block: &[u8]) -> &[u8] {
    let mut end = 0;
    while block.get(end).is_some_and(|byte| byte >> 5 == 0b001) {
        let continues = block[end] & 0x1f == 0x1f;
        end += 1;
        while continues && block.get(end).is_some_and(|byte| byte & 0x80 != 0) {
            end += 1;
        }
        end += usize::from(continues);
    }
    &block[..end.min(block.len())]
}

/// A literal that nobody may remember: what came marked so must stay so, and the mark is lost in decoding.
pub(crate) fn literal(block: &mut BytesMut, name: &[u8], value: &[u8]) {
    const NEVER_INDEXED: u8 = 0x10;
    block.put_u8(NEVER_INDEXED);
    string(block, name);
    string(block, value);
}

/// A string without Huffman coding: its length as an integer with a prefix of seven bits, and its bytes.
pub(super) fn string(block: &mut BytesMut, bytes: &[u8]) {
    const MOST: usize = 0x7f;
    let mut left = bytes.len();
    if left < MOST {
        block.put_u8(left as u8);
    } else {
        block.put_u8(MOST as u8);
        left -= MOST;
        while left >= 0x80 {
            block.put_u8((left & 0x7f) as u8 | 0x80);
            left >>= 7;
        }
        block.put_u8(left as u8);
    }
    block.extend_from_slice(bytes);
}
