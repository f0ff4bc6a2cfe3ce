//! What an edge knows of HTTP/2 where it must look into a stream at all: frames, and header blocks.
//!
//! Pure: bytes in, bytes out.
//!
//! *Source:* RFC 9113, sections 3.4, 4.1 and 6; RFC 7541, sections 4.2 and 6.

pub(crate) mod block;
pub(crate) mod frame;
mod huffman;

use std::io;

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

pub(crate) fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.to_owned())
}
