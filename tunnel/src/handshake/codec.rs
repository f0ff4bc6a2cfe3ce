//! Length, then message: how everything but spliced bytes is framed. Pure functions, and the two loops that feed them.

use std::io;

use bytes::{Buf as _, BufMut as _, BytesMut};
use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Largest message, so that the first byte of a length is 0x00: no text line of the original's wire starts with it.
pub(crate) const MAX_MESSAGE: usize = 64 * 1024;

/// The first byte of every message.
pub(crate) const FIRST_BYTE: u8 = 0;

/// Appends the frame of one message to `out`.
///
/// # Errors
///
/// `InvalidInput` when the message is larger than [`MAX_MESSAGE`].
pub(crate) fn encode(message: &impl Message, out: &mut BytesMut) -> io::Result<()> {
    let length = message.encoded_len();
    let wire_length = u32::try_from(length)
        .ok()
        .filter(|_| length <= MAX_MESSAGE)
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("message of {length} bytes is over the limit of {MAX_MESSAGE}"),
            )
        })?;
    out.reserve(4 + length);
    out.put_u32(wire_length);
    message.encode(out).map_err(io::Error::other)
}

/// Takes one whole message off the front of `buffer`, or `None` while it is incomplete.
///
/// # Errors
///
/// `InvalidData` when the length is over the limit or the bytes are no message.
pub(crate) fn decode<M: Message + Default>(buffer: &mut BytesMut) -> io::Result<Option<M>> {
    let Some(length) = buffer.first_chunk::<4>() else {
        return Ok(None);
    };
    let length = checked_length(*length)?;
    if buffer.len() < 4 + length {
        return Ok(None);
    }
    let message = M::decode(&buffer[4..4 + length]);
    buffer.advance(4 + length);
    message.map(Some).map_err(invalid)
}

/// Reads exactly one message and not a byte more: what follows it belongs to somebody else.
///
/// # Errors
///
/// As [`decode`], and those of the pipe; `UnexpectedEof` when it ends first.
///
/// # Cancel safety
///
/// Not cancel-safe: drop the pipe with the future.
pub(crate) async fn read_one<M: Message + Default>(
    io: &mut (impl AsyncRead + Unpin),
) -> io::Result<M> {
    let mut length = [0; 4];
    io.read_exact(&mut length).await?;
    let mut body = vec![0; checked_length(length)?];
    io.read_exact(&mut body).await?;
    M::decode(body.as_slice()).map_err(invalid)
}

fn checked_length(bytes: [u8; 4]) -> io::Result<usize> {
    usize::try_from(u32::from_be_bytes(bytes))
        .ok()
        .filter(|length| *length <= MAX_MESSAGE)
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("not a tunnel message (starts with {bytes:02x?})"),
            )
        })
}

fn invalid(error: prost::DecodeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Messages off a pipe, one after the other.
#[derive(Debug)]
pub(crate) struct MessageReader<R> {
    io: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> MessageReader<R> {
    pub(crate) fn new(io: R) -> Self {
        Self {
            io,
            buffer: BytesMut::new(),
        }
    }

    /// The first byte that was not taken yet, `None` at the pipe's end.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: what was read is kept.
    pub(crate) async fn peek(&mut self) -> io::Result<Option<u8>> {
        if self.buffer.is_empty() && self.io.read_buf(&mut self.buffer).await? == 0 {
            return Ok(None);
        }
        Ok(self.buffer.first().copied())
    }

    /// Takes one line off the front, without its newline.
    ///
    /// # Errors
    ///
    /// `InvalidData` when no newline follows within `most` bytes, `UnexpectedEof` when the pipe ends first.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: what was read is kept.
    pub(crate) async fn line(&mut self, most: usize) -> io::Result<BytesMut> {
        loop {
            let within = self.buffer.iter().take(most + 1);
            if let Some(length) = within.into_iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(length);
                self.buffer.advance(1);
                return Ok(line);
            }
            if self.buffer.len() > most {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("neither a message nor a line of at most {most} bytes"),
                ));
            }
            if self.io.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// The pipe, and what was read from it and not taken.
    pub(crate) fn into_parts(self) -> (R, BytesMut) {
        (self.io, self.buffer)
    }

    /// The next message, `None` at the pipe's end.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: what was read is kept.
    pub(crate) async fn next<M: Message + Default>(&mut self) -> io::Result<Option<M>> {
        loop {
            if let Some(message) = decode(&mut self.buffer)? {
                if self.buffer.is_empty() {
                    // A hello is larger than all that comes after it.
                    self.buffer = BytesMut::new();
                }
                return Ok(Some(message));
            }
            if self.io.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::{Control, Drain, Open, control};

    fn drain(reason: String) -> Control {
        Control {
            message: Some(control::Message::Drain(Drain {
                reason,
                ..Drain::default()
            })),
            critical: vec![],
        }
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_any_body_is_read() {
        let mut buffer = BytesMut::from(&[0x00, 0x01, 0x00, 0x01][..]);
        assert_eq!(
            decode::<Control>(&mut buffer).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }

    #[test]
    fn text_is_refused() {
        let mut buffer = BytesMut::from(&b"rainbow\n"[..]);
        let error = decode::<Control>(&mut buffer).unwrap_err();
        assert!(
            error.to_string().contains("not a tunnel message"),
            "{error}"
        );
    }

    #[test]
    fn a_message_over_the_limit_is_not_sent() {
        let mut out = BytesMut::new();
        let error = encode(&drain("x".repeat(MAX_MESSAGE)), &mut out).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(out.is_empty());
    }

    #[tokio::test]
    async fn reading_one_message_leaves_the_bytes_behind_it() {
        let mut bytes = BytesMut::new();
        encode(
            &Open {
                tag: 7,
                ..Open::default()
            },
            &mut bytes,
        )
        .unwrap();
        bytes.extend_from_slice(b"PRI * HTTP/2.0");
        let mut io = bytes.as_ref();
        let open: Open = read_one(&mut io).await.unwrap();
        assert_eq!(open.tag, 7);
        assert_eq!(io, b"PRI * HTTP/2.0");
    }

    proptest! {
        #[test]
        fn any_cut_of_the_bytes_gives_the_same_messages(
            reasons in proptest::collection::vec("[a-z]{0,40}", 1..8),
            cut in 1usize..17,
        ) {
            let sent: Vec<_> = reasons.into_iter().map(drain).collect();
            let mut wire = BytesMut::new();
            for message in &sent {
                encode(message, &mut wire).unwrap();
            }
            let mut buffer = BytesMut::new();
            let mut got = Vec::new();
            for piece in wire.chunks(cut) {
                buffer.extend_from_slice(piece);
                while let Some(message) = decode::<Control>(&mut buffer).unwrap() {
                    got.push(message);
                }
            }
            prop_assert_eq!(got, sent);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode::<Control>(&mut BytesMut::from(bytes.as_slice()));
        }
    }
}
