//! What fuzz targets reach of this module.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::Instant;

use super::{Budget, Terminate};

/// What goes to a backend and to a server when they say these pieces, the server where `true`, and what ended it early.
pub fn terminate<'p>(
    pieces: impl IntoIterator<Item = (bool, &'p [u8])>,
) -> ([BytesMut; 2], io::Result<()>) {
    let mut middle = Terminate::new(Budget::default(), Instant::now());
    let [mut from_server, mut from_backend] = [BytesMut::new(), BytesMut::new()];
    let mut went = [BytesMut::new(), BytesMut::new()];
    for (is_of_server, piece) in pieces {
        let heard = if is_of_server {
            from_server.extend_from_slice(piece);
            middle.hear_server(&mut from_server)
        } else {
            from_backend.extend_from_slice(piece);
            middle.hear_backend(&mut from_backend)
        };
        if heard.is_err() {
            return (went, heard);
        }
        let mut output = BytesMut::new();
        loop {
            middle.tell_backend(Instant::now(), Duration::ZERO, &mut output);
            if output.is_empty() {
                break;
            }
            went[0].unsplit(output.split());
        }
        middle.tell_server(&mut output);
        went[1].unsplit(output);
    }
    (went, Ok(()))
}
