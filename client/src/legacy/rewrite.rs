//! HTTP/2 from a client to a server, with the `:scheme` and `:authority` of every request replaced.
//!
//! Pure: bytes in, bytes out. Every frame but HEADERS and CONTINUATION passes as it is. A header block is decoded and
//! written anew ([`block`]).

use std::io;

use bytes::BytesMut;

use crate::http2::block::{self, Block, Blocks, Taken, literal};
use crate::http2::frame::Head;
use crate::http2::{pass, preface};

/// One direction of one connection.
pub(super) struct Rewrite {
    scheme: &'static str,
    authority: String,
    blocks: Blocks,
    state: State,
}

enum State {
    Preface,
    /// A frame's head is next.
    Frame,
    /// As many bytes pass as they are.
    Pass(usize),
}

impl Rewrite {
    pub(super) fn new(scheme: &'static str, authority: &str) -> Self {
        Self {
            scheme,
            authority: authority.to_owned(),
            blocks: Blocks::new(),
            state: State::Preface,
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
                    let Some(length) = preface(input)? else {
                        return Ok(());
                    };
                    self.state = State::Pass(length);
                }
                State::Pass(left) => {
                    if !pass(left, input, output) {
                        return Ok(());
                    }
                    self.state = State::Frame;
                }
                State::Frame => {
                    let Some(head) = Head::first(input) else {
                        return Ok(());
                    };
                    if !self.blocks.takes(&head) {
                        self.state = State::Pass(head.frame());
                        continue;
                    }
                    match self.blocks.take(&head, input)? {
                        Taken::Nothing => return Ok(()),
                        Taken::Part => {}
                        Taken::Block(block) => self.write(&block, output)?,
                    }
                }
            }
        }
    }

    fn write(&mut self, block: &Block, output: &mut BytesMut) -> io::Result<()> {
        let mut fields = BytesMut::new();
        let mut is_request = false;
        self.blocks.decode(block, |name, value| {
            is_request |= name == b":method";
            if name != b":scheme" && name != b":authority" {
                literal(&mut fields, name, value);
            }
        })?;
        let mut anew = block.anew();
        // Trailers have no pseudo-headers, and get none.
        if is_request {
            literal(&mut anew, b":scheme", self.scheme.as_bytes());
            literal(&mut anew, b":authority", self.authority.as_bytes());
        }
        anew.unsplit(fields);
        block::write(block.stream, block.end_stream, anew, output);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
