//! What the backend says to the server. Its WINDOW_UPDATE frames are for us; all else passes as it is, and some of it is
//! noted on its way.

use std::io;

use bytes::{Buf as _, BytesMut};

use super::state::State;
use crate::http2::frame::{ACK, FRAME, GOAWAY, HEAD, Head, RST_STREAM, SETTINGS, WINDOW_UPDATE};
use crate::http2::{invalid, pass};

/// Of SETTINGS.
const INITIAL_WINDOW_SIZE: u16 = 4;
/// Where a frame's head says what it is.
const KIND: usize = 3;

pub(super) enum FromBackend {
    /// Its first frame is next: SETTINGS, if it speaks HTTP/2.
    First,
    /// A frame's head is next.
    Frame,
    /// As many bytes pass as they are.
    Pass(usize),
    /// It does not speak HTTP/2. All passes, so that the server can say what it is.
    Foreign,
}

impl FromBackend {
    pub(super) fn new() -> Self {
        Self::First
    }

    /// Whether a frame of ours may come next towards the server.
    pub(super) fn is_between_frames(&self) -> bool {
        matches!(self, Self::Frame)
    }

    /// Takes from `input` what can be taken. What passes goes to `output`.
    ///
    /// # Errors
    ///
    /// `InvalidData` when the backend gives credit that nobody can have, or breaks HTTP/2 so that its credit is not known.
    pub(super) fn push(
        &mut self,
        input: &mut BytesMut,
        state: &mut State,
        output: &mut BytesMut,
    ) -> io::Result<()> {
        loop {
            match self {
                Self::First => {
                    let is_foreign = input.get(KIND).is_some_and(|kind| *kind != SETTINGS)
                        || Head::first(input).is_some_and(|head| !head.begins());
                    if !is_foreign && input.len() < HEAD {
                        return Ok(());
                    }
                    *self = if is_foreign {
                        Self::Foreign
                    } else {
                        Self::Frame
                    };
                }
                Self::Foreign => {
                    output.extend_from_slice(input);
                    input.clear();
                    return Ok(());
                }
                Self::Pass(left) => {
                    if !pass(left, input, output) {
                        return Ok(());
                    }
                    *self = Self::Frame;
                }
                Self::Frame => {
                    let Some(head) = Head::first(input) else {
                        return Ok(());
                    };
                    let wanted = head.wanted()?;
                    let Some(payload) = input.get(HEAD..HEAD + wanted) else {
                        return Ok(());
                    };
                    match head.kind {
                        WINDOW_UPDATE => {
                            state.credit(head.stream, number(payload))?;
                            input.advance(head.frame());
                            continue;
                        }
                        SETTINGS if !head.has(ACK) => state.settings(initial_window(payload)?)?,
                        RST_STREAM => state.forget(head.stream),
                        GOAWAY => state.forget_after(number(payload)),
                        _ => {}
                    }
                    *self = Self::Pass(head.frame());
                }
            }
        }
    }
}

impl Head {
    /// Whether a server's HTTP/2 may begin with it.
    fn begins(&self) -> bool {
        self.kind == SETTINGS && !self.has(ACK) && self.stream == 0 && self.length <= FRAME
    }

    /// How much of its payload must be there before it passes.
    fn wanted(&self) -> io::Result<usize> {
        match self.kind {
            WINDOW_UPDATE if self.length != 4 => {
                Err(invalid("a WINDOW_UPDATE is not of four bytes"))
            }
            WINDOW_UPDATE => Ok(4),
            SETTINGS if !self.length.is_multiple_of(6) || self.length > FRAME => {
                Err(invalid("SETTINGS are of no length that they can have"))
            }
            SETTINGS => Ok(self.length),
            GOAWAY if self.length < 8 => Err(invalid("a GOAWAY is shorter than eight bytes")),
            GOAWAY => Ok(4),
            _ => Ok(0),
        }
    }
}

/// The 31 bits that `payload` begins with.
fn number(payload: &[u8]) -> u32 {
    let bytes = payload
        .first_chunk()
        .map_or(0, |at| u32::from_be_bytes(*at));
    bytes & 0x7fff_ffff
}

/// What the streams of the backend begin with, if its SETTINGS say so.
fn initial_window(mut settings: &[u8]) -> io::Result<Option<i64>> {
    let mut window = None;
    while settings.has_remaining() {
        let (name, value) = (settings.get_u16(), settings.get_u32());
        if name == INITIAL_WINDOW_SIZE {
            let value = i32::try_from(value);
            let value = value.map_err(|_| invalid("SETTINGS ask for a window beyond any"))?;
            window = Some(i64::from(value));
        }
    }
    Ok(window)
}
