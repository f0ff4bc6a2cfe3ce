//! What an edge of the original's says first: an id and a newline, and not a byte of what follows is lost.

#![no_main]

use arbitrary::Arbitrary;
use grpc_multiplexer_fuzz::pieces::{Cuts, Pipe};
use grpc_multiplexer_tunnel::fuzzing::line;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    cuts: Cuts,
    bytes: &'a [u8],
}

fuzz_target!(|input: Input| {
    let Input { cuts, bytes } = input;
    let whole = read(Pipe::whole(bytes));
    assert_eq!(whole, read(Pipe::cut(bytes, cuts)));
    if let Ok((client_id, rest)) = whole {
        let said = [client_id.as_bytes(), b"\n", &rest[..]].concat();
        assert_eq!(said, bytes);
    }
});

/// The id, and all that follows its line.
fn read(pipe: Pipe<'_>) -> Result<(String, Vec<u8>), String> {
    match grpc_multiplexer_fuzz::run(line(pipe)) {
        Ok((client_id, read, pipe)) => {
            let rest = [&read[..], &pipe.rest()].concat();
            Ok((client_id.to_string(), rest))
        }
        Err(error) => Err(format!("{error:?}")),
    }
}
