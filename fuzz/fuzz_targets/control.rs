//! Messages on a tunnel's control stream: however the bytes are cut, they are the same, and can be sent again.

#![no_main]

use arbitrary::Arbitrary;
use grpc_multiplexer_fuzz::pieces::{Cuts, Pipe};
use grpc_multiplexer_tunnel::fuzzing::{frame, messages};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    cuts: Cuts,
    bytes: &'a [u8],
}

fuzz_target!(|input: Input| {
    let Input { cuts, bytes } = input;
    let (came, end) = grpc_multiplexer_fuzz::run(messages(Pipe::whole(bytes)));
    let (came_cut, end_cut) = grpc_multiplexer_fuzz::run(messages(Pipe::cut(bytes, cuts)));
    assert_eq!(came, came_cut);
    let end = end.map_err(|error| error.to_string());
    assert_eq!(end, end_cut.map_err(|error| error.to_string()));
    // Unknown fields are dropped on the way in, so none can be too large on the way out.
    let frames = came.iter().map(|message| frame(message).unwrap());
    let again = frames.collect::<Vec<_>>().concat();
    let (came_again, end) = grpc_multiplexer_fuzz::run(messages(&again[..]));
    assert!(end.is_ok(), "{end:?}");
    assert_eq!(came, came_again);
});
