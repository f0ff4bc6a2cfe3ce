//! What the server says to the backend. DATA is taken out, and header blocks are written anew, because a request's trailers
//! change places with the blocks of other calls. All else passes as it is, at once.

use std::io;

use bytes::{Buf as _, BytesMut};

use super::state::State;
use super::upload::End;
use crate::http2::block::{self, Block, Blocks, Taken, literal};
use crate::http2::frame::{ACK, DATA, END_STREAM, HEAD, Head, PADDED, RST_STREAM, SETTINGS};
use crate::http2::{invalid, pass, preface};

pub(super) struct FromServer {
    blocks: Blocks,
    step: Step,
}

enum Step {
    Preface,
    /// A frame's head is next.
    Frame,
    /// As many bytes pass as they are.
    Pass(usize),
    Data(Data),
}

/// What is left of a DATA frame.
#[derive(Clone, Copy)]
struct Data {
    stream: u32,
    bytes: usize,
    padding: usize,
    ends: bool,
}

impl FromServer {
    pub(super) fn new() -> Self {
        Self {
            blocks: Blocks::new(),
            step: Step::Preface,
        }
    }

    /// Whether a frame of ours may come next towards the backend.
    pub(super) fn is_between_frames(&self) -> bool {
        matches!(self.step, Step::Frame | Step::Data(_))
    }

    /// Takes from `input` what can be taken. What passes goes to `output`.
    ///
    /// # Errors
    ///
    /// `InvalidData` when the bytes are not HTTP/2, or more than there was credit for.
    pub(super) fn push(
        &mut self,
        input: &mut BytesMut,
        state: &mut State,
        output: &mut BytesMut,
    ) -> io::Result<()> {
        loop {
            match &mut self.step {
                Step::Preface => {
                    let Some(length) = preface(input)? else {
                        return Ok(());
                    };
                    self.step = Step::Pass(length);
                }
                Step::Pass(left) => {
                    if !pass(left, input, output) {
                        return Ok(());
                    }
                    self.step = Step::Frame;
                }
                Step::Data(data) => {
                    let now = input.len().min(data.bytes);
                    state.hold(data.stream, &input[..now]);
                    input.advance(now);
                    data.bytes -= now;
                    let skipped = input.len().min(data.padding);
                    input.advance(skipped);
                    data.padding -= skipped;
                    if data.bytes + data.padding > 0 {
                        return Ok(());
                    }
                    let data = *data;
                    self.step = Step::Frame;
                    if data.ends {
                        state.end(data.stream, End::Plain, output)?;
                    }
                }
                Step::Frame => {
                    let Some(head) = Head::first(input) else {
                        return Ok(());
                    };
                    if self.blocks.takes(&head) {
                        match self.blocks.take(&head, input)? {
                            Taken::Nothing => return Ok(()),
                            Taken::Part => {}
                            Taken::Block(block) => self.block(&block, state, output)?,
                        }
                        continue;
                    }
                    match head.kind {
                        DATA => {
                            let Some(data) = Data::begin(&head, input)? else {
                                return Ok(());
                            };
                            state.data(data.stream, head.length, head.length - data.bytes)?;
                            self.step = Step::Data(data);
                            continue;
                        }
                        RST_STREAM => state.forget(head.stream),
                        SETTINGS if head.has(ACK) => state.acknowledged(),
                        _ => {}
                    }
                    self.step = Step::Pass(head.frame());
                }
            }
        }
    }

    fn block(&mut self, block: &Block, state: &mut State, output: &mut BytesMut) -> io::Result<()> {
        let mut anew = block.anew();
        self.blocks
            .decode(block, |name, value| literal(&mut anew, name, value))?;
        if !state.is_known(block.stream) {
            state.begin(block.stream, block.end_stream);
            block::write(block.stream, block.end_stream, anew, output);
            return Ok(());
        }
        if !block.end_stream {
            return Err(invalid("trailers that do not end their stream"));
        }
        // Those of a call that was reset meanwhile are nobody's.
        state.end(block.stream, End::Trailers(anew), output)
    }
}

impl Data {
    /// Takes a DATA frame's head off `input`, with the length of its padding.
    fn begin(head: &Head, input: &mut BytesMut) -> io::Result<Option<Self>> {
        let (mut before, mut padding) = (HEAD, 0);
        if head.has(PADDED) && head.length > 0 {
            let Some(length) = input.get(HEAD) else {
                return Ok(None);
            };
            (before, padding) = (HEAD + 1, usize::from(*length));
        }
        let bytes = head.frame().checked_sub(before + padding);
        let bytes = bytes.ok_or_else(|| invalid("a DATA frame is shorter than its padding"))?;
        input.advance(before);
        Ok(Some(Self {
            stream: head.stream,
            bytes,
            padding,
            ends: head.has(END_STREAM),
        }))
    }
}
