//! The headers of HTTP/2 frames, and whether a header block is complete.
//!
//! *Source:* RFC 9113, sections 4.1, 6.2 and 6.10.

use grpc_multiplexer_tunnel::FrameWalk;

/// Bytes of a header.
const LENGTH: usize = 9;
/// What a connection begins with in the direction of the server, before the first frame.
const PREFACE: usize = 24;

/// The types that something depends on here.
pub(super) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const PRIORITY: u8 = 2;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
}

/// On DATA.
const END_STREAM: u8 = 0x1;
/// On HEADERS and CONTINUATION.
const END_HEADERS: u8 = 0x4;

/// The header of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) length: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Head {
    fn parse([a, b, c, kind, flags, s, t, u, v]: [u8; LENGTH]) -> Self {
        Self {
            length: u32::from_be_bytes([0, a, b, c]) as usize,
            kind,
            flags,
            stream: u32::from_be_bytes([s, t, u, v]) & (u32::MAX >> 1),
        }
    }

    pub(super) fn ends_stream(&self) -> bool {
        self.flags & END_STREAM != 0
    }
}

/// A header block that began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    /// This frame is its last.
    Ends,
    /// It goes on in another.
    GoesOn,
}

/// The frames of one direction.
#[derive(Debug)]
pub(super) struct Heads {
    walk: FrameWalk<LENGTH>,
    /// Of the last frame.
    block: Option<Block>,
}

impl Heads {
    pub(super) fn to_server() -> Self {
        Self::after(PREFACE)
    }

    pub(super) fn to_client() -> Self {
        Self::after(0)
    }

    fn after(preface: usize) -> Self {
        Self {
            walk: FrameWalk::after(preface),
            block: None,
        }
    }

    /// Passes on `bytes`, and shows each frame that begins in them; the first that `see` does not like is the last.
    pub(super) fn pass<E>(
        &mut self,
        bytes: &[u8],
        mut see: impl FnMut(Head) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { walk, block } = self;
        walk.pass(bytes, |head| {
            let head = Head::parse(head);
            *block = match head.kind {
                kind::HEADERS | kind::CONTINUATION if head.flags & END_HEADERS == 0 => {
                    Some(Block::GoesOn)
                }
                kind::HEADERS | kind::CONTINUATION => Some(Block::Ends),
                _ => None,
            };
            see(head)?;
            Ok(head.length)
        })
    }

    /// Whether a header block began and is not complete.
    pub(super) fn is_in_block(&self) -> bool {
        match self.block {
            Some(Block::GoesOn) => true,
            Some(Block::Ends) => self.walk.is_in_payload(),
            None => false,
        }
    }

    /// Whether the next byte begins a frame.
    pub(super) fn is_between_frames(&self) -> bool {
        self.walk.is_between_frames()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_what_it_is() {
        let mut seen = Vec::new();
        let mut heads = Heads::to_client();
        let bytes = [0, 0, 1, 9, 4, 0x80, 0, 1, 3, 0xee];
        heads
            .pass(&bytes, |head| {
                seen.push(head);
                Ok::<_, ()>(())
            })
            .unwrap();
        let head = Head {
            length: 1,
            kind: kind::CONTINUATION,
            flags: END_HEADERS,
            stream: 259,
        };
        assert_eq!(seen, [head]);
    }

    #[test]
    fn a_header_block_is_open_until_its_last_byte() {
        let mut heads = Heads::to_client();
        let open: Vec<bool> = [
            &[0, 0, 1, kind::HEADERS, 0, 0, 0, 0, 1, 0xee][..],
            &[
                0,
                0,
                2,
                kind::CONTINUATION,
                END_HEADERS,
                0,
                0,
                0,
                1,
                0xee,
                0xee,
            ],
        ]
        .concat()
        .iter()
        .map(|byte| {
            heads.pass(&[*byte], |_| Ok::<_, ()>(())).unwrap();
            heads.is_in_block()
        })
        .collect();
        let complete = [[false; 8].as_slice(), &[true; 12], &[false]].concat();
        assert_eq!(open, complete);
    }
}
