//! The rewriting of header blocks at an edge whose server is of the original's.

#![no_main]

use arbitrary::Arbitrary;
use grpc_multiplexer_client::fuzzing::rewrite;
use grpc_multiplexer_fuzz::blocks::{self, Fields, Item};
use grpc_multiplexer_fuzz::frames::{PREFACE, Piece};
use grpc_multiplexer_fuzz::pieces::Cuts;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    cuts: Cuts,
    pieces: Vec<Piece<'a>>,
}

const AUTHORITY: &str = "backend:50051";

fuzz_target!(|input: Input| {
    let mut bytes = PREFACE.to_vec();
    for piece in &input.pieces {
        piece.write(&mut bytes);
    }
    let (output, end) = rewrite(AUTHORITY, [&bytes[..]]);
    let (output_cut, end_cut) = rewrite(AUTHORITY, input.cuts.of(&bytes));
    assert_eq!(output, output_cut);
    let failed = end.map_err(|error| error.to_string());
    assert_eq!(failed, end_cut.map_err(|error| error.to_string()));
    if failed.is_ok() {
        compare(&bytes[PREFACE.len()..], &output[PREFACE.len()..]);
    }
});

/// Frame by frame: all but header blocks are as they were, and those say the same but for two fields.
fn compare(input: &[u8], output: &[u8]) {
    let (input, output) = (blocks::read(input), blocks::read(output));
    assert_eq!(input.len(), output.len());
    for (was, is) in input.into_iter().zip(output) {
        match (was, is) {
            (Item::Frame(was), Item::Frame(is)) => assert_eq!(was, is),
            (
                Item::Block {
                    stream,
                    ends,
                    fields,
                },
                Item::Block {
                    stream: s,
                    ends: e,
                    fields: f,
                },
            ) => {
                assert_eq!((stream, ends), (s, e));
                fields_fit(fields, f);
            }
            (was, is) => panic!("{was:?} became {is:?}"),
        }
    }
}

fn fields_fit(was: Fields, is: Fields) {
    let is_replaced = |name: &[u8]| name == b":scheme" || name == b":authority";
    let (new, kept): (Fields, Fields) = is.into_iter().partition(|(name, _)| is_replaced(name));
    let is_request = was.iter().any(|(name, _)| name == b":method");
    let others: Fields = was
        .into_iter()
        .filter(|(name, _)| !is_replaced(name))
        .collect();
    assert_eq!(others, kept);
    let wanted = [(":scheme", "http"), (":authority", AUTHORITY)];
    let wanted = wanted.map(|(name, value)| (name.into(), value.into()));
    assert_eq!(new, if is_request { wanted.to_vec() } else { vec![] });
}
