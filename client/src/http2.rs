//! What an edge knows of HTTP/2 where it must look into a stream at all: frames, and header blocks.
//!
//! Pure: bytes in, bytes out.
//!
//! *Source:* RFC 9113, sections 3.4, 4.1 and 6; RFC 7541, sections 4.2 and 6.

pub(crate) mod block;
pub(crate) mod frame;
mod huffman;

use std::io;

use bytes::{Buf as _, BytesMut};

/// What an HTTP/2 client says first.
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether `input` begins with the preface; `None` while it may yet.
///
/// # Errors
///
/// `InvalidData` when it does not.
pub(crate) fn preface(input: &[u8]) -> io::Result<Option<usize>> {
    let known = input.len().min(PREFACE.len());
    if input[..known] != PREFACE[..known] {
        return Err(invalid("no HTTP/2 preface"));
    }
    Ok((known == PREFACE.len()).then_some(known))
}

/// Moves what is there of the next `left` bytes as it is. Whether that was all of them.
pub(crate) fn pass(left: &mut usize, input: &mut BytesMut, output: &mut BytesMut) -> bool {
    let now = input.len().min(*left);
    output.extend_from_slice(&input[..now]);
    input.advance(now);
    *left -= now;
    *left == 0
}

pub(crate) fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.to_owned())
}
