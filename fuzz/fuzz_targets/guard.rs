//! The guard under HTTP/2 connections: it passes bytes on as they are, and judges floods however they are cut.

#![no_main]

use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use arbitrary::Arbitrary;
use grpc_multiplexer_fuzz::frames::{PREFACE, Piece};
use grpc_multiplexer_fuzz::pieces::{Cuts, Pipe};
use grpc_multiplexer_server::fuzzing::{guard_against_backend, guard_against_caller};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    is_caller: bool,
    cuts: Cuts,
    sent: &'a [u8],
    pieces: Vec<Piece<'a>>,
}

fuzz_target!(|input: Input| {
    let mut bytes = Vec::new();
    if input.is_caller {
        bytes.extend_from_slice(PREFACE);
    }
    for piece in &input.pieces {
        piece.write(&mut bytes);
    }
    let whole = passed(&input, Pipe::whole(&bytes));
    let cut = passed(&input, Pipe::cut(&bytes, input.cuts));
    assert_eq!(whole.1, cut.1, "the flood, and what the peer is told");
    for (came, _) in [&whole, &cut] {
        assert!(bytes.starts_with(came), "bytes are as they were");
    }
    if whole.1.is_ok() {
        assert_eq!((whole.0.len(), cut.0.len()), (bytes.len(), bytes.len()));
    }
});

/// What came through the guard, and how it ended.
fn passed(input: &Input<'_>, mut pipe: Pipe<'_>) -> (Vec<u8>, Result<(), String>) {
    let mut came = Vec::new();
    let end = grpc_multiplexer_fuzz::run(async {
        if input.is_caller {
            let (mut guard, take) = guard_against_caller(&mut pipe);
            guard.write_all(input.sent).await?;
            read_all(guard, take, &mut came)
        } else {
            let mut guard = guard_against_backend(&mut pipe);
            guard.write_all(input.sent).await?;
            read_all(guard, || false, &mut came)
        }
    });
    let told = String::from_utf8_lossy(&pipe.written[input.sent.len()..]).into_owned();
    (came, end.map_err(|error| format!("{error}: {told}")))
}

/// Reads to the end. The guard waits only until the streams that began were taken.
fn read_all(
    guard: impl AsyncRead + AsyncWrite,
    take: impl Fn() -> bool,
    came: &mut Vec<u8>,
) -> io::Result<()> {
    let mut guard = pin!(guard);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let mut buffer = ReadBuf::new(&mut buffer);
        match guard
            .as_mut()
            .poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer)
        {
            Poll::Ready(read) => read?,
            Poll::Pending => {
                assert!(take(), "it waits for nothing");
                continue;
            }
        }
        if buffer.filled().is_empty() {
            return Ok(());
        }
        came.extend_from_slice(buffer.filled());
    }
}
