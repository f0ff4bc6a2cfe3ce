//! Flow control towards a backend, ended at the edge.

#![no_main]

use std::collections::HashMap;

use arbitrary::Arbitrary;
use grpc_multiplexer_client::fuzzing::terminate;
use grpc_multiplexer_fuzz::blocks::{self, Item};
use grpc_multiplexer_fuzz::frames::{self, PREFACE, Piece, kind};
use grpc_multiplexer_fuzz::pieces::Cuts;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    cuts: Cuts,
    /// Of the server where `true`.
    pieces: Vec<(bool, Piece<'a>)>,
}

/// Where every window begins.
const WINDOW: u64 = 65_535;
const PADDED: u8 = 0x8;

fuzz_target!(|input: Input| {
    let mut said = [PREFACE.to_vec(), Vec::new()];
    let mut pieces = vec![(true, PREFACE.to_vec())];
    for (is_of_server, piece) in &input.pieces {
        let mut bytes = Vec::new();
        piece.write(&mut bytes);
        said[usize::from(!is_of_server)].extend_from_slice(&bytes);
        pieces.extend(
            input
                .cuts
                .of(&bytes)
                .map(|piece| (*is_of_server, piece.to_vec())),
        );
    }
    let pieces = pieces.iter().map(|(side, piece)| (*side, &piece[..]));
    let ([to_backend, to_server], end) = terminate(pieces);
    if end.is_ok() {
        uploads(
            &said[0][PREFACE.len()..],
            &said[1],
            &to_backend[PREFACE.len()..],
        );
        answers(&said[1], &to_server);
    }
});

/// The backend gets no byte that the server did not send, and none that it has no room for.
fn uploads(said: &[u8], credit: &[u8], got: &[u8]) {
    let (sent, got) = (bodies(said), bodies(got));
    let (mut windows, mut initial) = (HashMap::<u32, u64>::new(), WINDOW);
    for frame in frames::read(credit) {
        let settings = frame.payload();
        match (frame.kind, settings) {
            (kind::WINDOW_UPDATE, [a, b, c, d]) => {
                let amount = u32::from_be_bytes([*a, *b, *c, *d]) & (u32::MAX >> 1);
                *windows.entry(frame.stream).or_default() += u64::from(amount);
            }
            (kind::SETTINGS, _) => {
                let (settings, _) = settings.as_chunks::<6>();
                for [_, id, a, b, c, d] in settings {
                    if *id == 4 {
                        initial = initial.max(u32::from_be_bytes([*a, *b, *c, *d]).into());
                    }
                }
            }
            _ => {}
        }
    }
    let room = |stream: u32| windows.get(&stream).copied().unwrap_or(0);
    let all: u64 = got.values().sum();
    assert!(
        all <= WINDOW + room(0),
        "the connection's window is overrun"
    );
    for (stream, bytes) in got {
        assert!(
            bytes <= initial + room(stream),
            "the window of {stream} is overrun"
        );
        assert!(bytes <= sent.get(&stream).copied().unwrap_or(0));
    }
}

/// Bytes in DATA, by stream.
fn bodies(bytes: &[u8]) -> HashMap<u32, u64> {
    let mut bodies = HashMap::new();
    for item in blocks::read(bytes) {
        if let Item::Frame(frame) = item
            && frame.kind == kind::DATA
        {
            let padding = match frame.payload() {
                [padding, ..] if frame.flags & PADDED != 0 => 1 + u64::from(*padding),
                _ => 0,
            };
            let bytes = frame.payload().len() as u64 - padding;
            *bodies.entry(frame.stream).or_default() += bytes;
        }
    }
    bodies
}

/// The server gets all that the backend says, but for credit.
fn answers(said: &[u8], got: &[u8]) {
    let Some(first) = said.get(..9) else {
        return;
    };
    let speaks_http2 = first[3..] == [kind::SETTINGS, 0, 0, 0, 0, 0]
        || first[3..5] == [kind::SETTINGS, 0] && first[5] & 0x7f == 0 && first[6..] == [0; 3];
    if !speaks_http2 {
        return;
    }
    let kept = |bytes: &[u8]| -> Vec<Vec<u8>> {
        let frames = frames::read(bytes).filter(|frame| frame.kind != kind::WINDOW_UPDATE);
        frames.map(|frame| frame.bytes.to_vec()).collect()
    };
    assert!(kept(said) == kept(got), "the answer differs");
}
