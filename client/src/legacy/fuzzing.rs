//! What fuzz targets reach of this module.

use std::io;

use bytes::BytesMut;

use super::rewrite::Rewrite;

/// What an `http` backend of that authority is sent when a server of the original's sends `pieces`, and what ended it
/// early.
pub fn rewrite<'p>(
    authority: &str,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> (BytesMut, io::Result<()>) {
    let mut rewrite = Rewrite::new("http", authority);
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        if let Err(error) = rewrite.push(&mut input, &mut output) {
            return (output, Err(error));
        }
    }
    (output, Ok(()))
}
