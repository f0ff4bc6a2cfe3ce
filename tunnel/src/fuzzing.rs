//! What fuzz targets reach of this crate beyond its interface. Built with `--cfg fuzzing`, as cargo-fuzz does, and with
//! this crate's tests, so that what no longer compiles is seen at once.

use std::io;

use bytes::BytesMut;
use prost::Message;
use tokio::io::AsyncRead;

use crate::handshake::codec::{self, MessageReader};
use crate::message::Control;
use crate::{ClientId, HandshakeError, legacy};

/// Every control message in `io`, and what ended the reading.
pub async fn messages(io: impl AsyncRead + Unpin) -> (Vec<Control>, io::Result<()>) {
    let mut reader = MessageReader::new(io);
    let mut messages = Vec::new();
    loop {
        match reader.next().await {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => return (messages, Ok(())),
            Err(error) => return (messages, Err(error)),
        }
    }
}

/// A message as it travels.
///
/// # Errors
///
/// When it is too large.
pub fn frame(message: &impl Message) -> io::Result<BytesMut> {
    let mut frame = BytesMut::new();
    codec::encode(message, &mut frame)?;
    Ok(frame)
}

/// What an edge of the original's says first, the bytes that were read behind it, and the pipe with the rest.
///
/// # Errors
///
/// When it is no client id on a line.
pub async fn line<R: AsyncRead + Unpin>(io: R) -> Result<(ClientId, BytesMut, R), HandshakeError> {
    let mut reader = MessageReader::new(io);
    let client_id = legacy::read_line(&mut reader).await?;
    let (io, read) = reader.into_parts();
    Ok((client_id, read, io))
}
