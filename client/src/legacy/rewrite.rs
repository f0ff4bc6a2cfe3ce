//! HTTP/2 from a client to a server, with the `:scheme` and `:authority` of every request replaced.
//!
//! Pure: bytes in, bytes out. Every frame but HEADERS and CONTINUATION passes as it is. A header block is decoded and
//! written anew without the use of the dynamic table, so that what one side remembers need not fit the other.
//!
//! *Source:* RFC 9113, sections 4.1, 6.2 and 6.10; RFC 7541, sections 4.2 and 6.

use std::io;

use bytes::{Buf as _, BufMut as _, BytesMut};
use loona_hpack::Decoder;

/// What an HTTP/2 client says first.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Length, type, flags, stream.
const HEAD: usize = 9;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
/// Largest payload that every server takes.
const FRAME: usize = 16 * 1024;
/// Largest header block, compressed and with the heads of its frames, and largest list in it, that is rewritten: beyond
/// what gRPC's libraries take by default, so that too much metadata is the backend's to refuse, and no end of the tunnel.
const BLOCK: usize = 32 * 1024 * 1024;
/// Largest dynamic table that a backend's SETTINGS may have granted the server.
const TABLE: usize = 1024 * 1024;

/// One direction of one connection.
pub(super) struct Rewrite {
    scheme: &'static str,
    authority: String,
    decoder: Decoder<'static>,
    state: State,
    /// A header block whose end has not come.
    partial: Option<Block>,
}

enum State {
    Preface,
    /// A frame's head is next.
    Frame,
    /// As many bytes pass as they are.
    Pass(usize),
}

/// A header block, from its HEADERS on.
struct Block {
    stream: u32,
    end_stream: bool,
    fragments: BytesMut,
    /// Bytes of its frames.
    taken: usize,
}

impl Rewrite {
    pub(super) fn new(scheme: &'static str, authority: &str) -> Self {
        let mut decoder = Decoder::new();
        decoder.set_max_allowed_table_size(TABLE);
        Self {
            scheme,
            authority: authority.to_owned(),
            decoder,
            state: State::Preface,
            partial: None,
        }
    }

    /// Moves from `input` to `output` what can be moved; what is left of `input` waits for more.
    ///
    /// # Errors
    ///
    /// `InvalidData` when the bytes are not HTTP/2, or a header block is over the limit.
    pub(super) fn push(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> io::Result<()> {
        loop {
            match &mut self.state {
                State::Preface => {
                    let known = input.len().min(PREFACE.len());
                    if input[..known] != PREFACE[..known] {
                        return Err(invalid("no HTTP/2 preface"));
                    }
                    if known < PREFACE.len() {
                        return Ok(());
                    }
                    self.state = State::Pass(PREFACE.len());
                }
                State::Pass(left) => {
                    let now = input.len().min(*left);
                    output.extend_from_slice(&input[..now]);
                    input.advance(now);
                    *left -= now;
                    if *left > 0 {
                        return Ok(());
                    }
                    self.state = State::Frame;
                }
                State::Frame => {
                    let Some(head) = input.first_chunk::<HEAD>().map(Head::parse) else {
                        return Ok(());
                    };
                    if head.kind != HEADERS && self.partial.is_none() {
                        self.state = State::Pass(HEAD + head.length);
                        continue;
                    }
                    if HEAD + head.length > BLOCK {
                        return Err(too_large());
                    }
                    if input.len() < HEAD + head.length {
                        return Ok(());
                    }
                    let frame = input.split_to(HEAD + head.length);
                    let block = extended(self.partial.take(), &head, &frame[HEAD..])?;
                    if head.flags & END_HEADERS != 0 {
                        self.write(&block, output)?;
                    } else {
                        self.partial = Some(block);
                    }
                }
            }
        }
    }

    fn write(&mut self, block: &Block, output: &mut BytesMut) -> io::Result<()> {
        let fields = self.fields(&block.fragments)?;
        let mut anew = BytesMut::from(size_updates(&block.fragments));
        // Trailers have no pseudo-headers, and get none.
        if fields.iter().any(|(name, _)| name == b":method") {
            literal(&mut anew, b":scheme", self.scheme.as_bytes());
            literal(&mut anew, b":authority", self.authority.as_bytes());
        }
        for (name, value) in &fields {
            if name != b":scheme" && name != b":authority" {
                literal(&mut anew, name, value);
            }
        }
        let mut kind = HEADERS;
        let mut flags = if block.end_stream { END_STREAM } else { 0 };
        loop {
            let fragment = anew.split_to(anew.len().min(FRAME));
            if anew.is_empty() {
                flags |= END_HEADERS;
            }
            let head = Head {
                length: fragment.len(),
                kind,
                flags,
                stream: block.stream,
            };
            head.write(output);
            output.extend_from_slice(&fragment);
            if anew.is_empty() {
                return Ok(());
            }
            (kind, flags) = (CONTINUATION, 0);
        }
    }

    fn fields(&mut self, block: &[u8]) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut fields = Vec::new();
        let mut size = 0;
        let decoded = self.decoder.decode_with_cb(block, |name, value| {
            size += name.len() + value.len() + 32;
            // What is over the limit is only counted.
            if size <= BLOCK {
                fields.push((name.into_owned(), value.into_owned()));
            }
        });
        decoded.map_err(|error| invalid(&format!("no header block: {error:?}")))?;
        if size > BLOCK {
            return Err(too_large());
        }
        Ok(fields)
    }
}

struct Head {
    length: usize,
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Head {
    fn parse(bytes: &[u8; HEAD]) -> Self {
        let [a, b, c, kind, flags, s, t, u, v] = *bytes;
        Self {
            length: usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c),
            kind,
            flags,
            stream: u32::from_be_bytes([s, t, u, v]) & 0x7fff_ffff,
        }
    }

    fn write(&self, output: &mut BytesMut) {
        // No frame of ours is longer than FRAME.
        output.put_uint(self.length as u64, 3);
        output.put_u8(self.kind);
        output.put_u8(self.flags);
        output.put_u32(self.stream);
    }
}

/// The block with one more of its frames.
fn extended(partial: Option<Block>, head: &Head, payload: &[u8]) -> io::Result<Block> {
    let mut block = match partial {
        None => Block {
            stream: head.stream,
            end_stream: head.flags & END_STREAM != 0,
            fragments: BytesMut::from(bare(payload, head.flags)?),
            taken: 0,
        },
        Some(mut block) if head.kind == CONTINUATION && head.stream == block.stream => {
            block.fragments.extend_from_slice(payload);
            block
        }
        Some(_) => return Err(invalid("a header block is interrupted")),
    };
    block.taken += HEAD + payload.len();
    if block.taken > BLOCK {
        return Err(too_large());
    }
    Ok(block)
}

fn too_large() -> io::Error {
    invalid("a call's metadata is over 32 MiB")
}

/// A HEADERS payload without its padding and priority.
fn bare(payload: &[u8], flags: u8) -> io::Result<&[u8]> {
    let wrong = || invalid("a HEADERS frame is shorter than its padding");
    let (mut payload, mut padding) = (payload, 0);
    if flags & PADDED != 0 {
        let (length, rest) = payload.split_first().ok_or_else(wrong)?;
        (payload, padding) = (rest, usize::from(*length));
    }
    if flags & PRIORITY != 0 {
        payload = payload.get(5..).ok_or_else(wrong)?;
    }
    let length = payload.len().checked_sub(padding).ok_or_else(wrong)?;
    Ok(&payload[..length])
}

/// The changes of the dynamic table's size that a block begins with. The backend may wait for one.
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
fn literal(block: &mut BytesMut, name: &[u8], value: &[u8]) {
    const NEVER_INDEXED: u8 = 0x10;
    block.put_u8(NEVER_INDEXED);
    string(block, name);
    string(block, value);
}

/// A string without Huffman coding: its length as an integer with a prefix of seven bits, and its bytes.
fn string(block: &mut BytesMut, bytes: &[u8]) {
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

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.to_owned())
}

#[cfg(test)]
mod tests;
