//! Header blocks that are too large, that grow when they are read, or that do not end.

use futures::future::join_all;
use grpc_multiplexer_tests::{Frame, FrameConnection, HungUp, kind};

use crate::bench::{Bench, ENHANCE_YOUR_CALM, call, repeated};

const END_HEADERS: u8 = 4;
/// END_STREAM and END_HEADERS.
const WHOLE: u8 = 5;
/// Largest payload of a frame.
const FRAME: usize = 16 * 1024;

/// The header block of a call with `more` entries behind it.
fn block(more: &[u8]) -> Vec<u8> {
    [&call(1, "/s/echo", true).payload, more].concat()
}

/// An entry of `name` and `length` bytes; indexed, so that later blocks can name it with one byte.
fn entry(name: &str, length: usize) -> Vec<u8> {
    let mut entry = vec![0x40, u8::try_from(name.len()).unwrap()];
    entry.extend(name.as_bytes());
    entry.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        entry.push((rest % 128 + 128) as u8);
        rest /= 128;
    }
    entry.push(rest as u8);
    entry.resize(entry.len() + length, b'v');
    entry
}

/// The entry that was indexed last.
const LAST_ENTRY: u8 = 0x80 | 62;

/// A block as HEADERS and CONTINUATION.
fn frames(stream: u32, block: &[u8]) -> Vec<Frame> {
    let mut frames: Vec<Frame> = block
        .chunks(FRAME)
        .map(|part| Frame::new(kind::CONTINUATION, 0, stream, part))
        .collect();
    frames[0].kind = kind::HEADERS;
    frames[0].flags = 1;
    frames.last_mut().unwrap().flags |= END_HEADERS;
    frames
}

fn bytes(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(Frame::bytes).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_are_too_large_cost_a_call_or_the_callers_connection() {
    const KIB: usize = 1024;
    let bench = Bench::start().await;
    bench
        .unnoticed(32, async {
            for (size, lives) in [(17, true), (63, true), (128, false), (300, false)] {
                let mut caller = bench.attacker().await;
                // What comes behind it shows whether the connection lives.
                let list = block(&entry("k", size * KIB));
                let all = bytes(&frames(1, &list));
                let ended = caller.flood([all]).await;
                assert_eq!(ended.is_none(), lives, "{size} KiB: {ended:?}");
            }
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_grow_when_they_are_read_take_no_memory() {
    /// As many as may be open at a time.
    const STREAMS: u32 = 1_000;
    let bench = Bench::start().await;
    bench
        .unnoticed(64, async {
            // 60 KB in 15 bytes: refused, one by one.
            let mut caller = bench.attacker().await;
            let first = bytes(&frames(1, &block(&entry("k", 4_000))));
            let small = block(&[LAST_ENTRY; 15]);
            let more = (1..STREAMS).map(|n| {
                let call = Frame::new(kind::HEADERS, WHOLE, 2 * n + 1, &small);
                call.bytes()
            });
            assert_eq!(
                caller.flood([first.clone()].into_iter().chain(more)).await,
                None
            );
            // 16 MB in 4 KB: nobody reads that.
            let mut caller = bench.attacker().await;
            let bomb = bytes(&frames(3, &block(&[LAST_ENTRY; 4_096])));
            let ended = caller.flood([first, bomb]).await;
            let code = ended.expect("it is cut").code;
            assert_eq!(code, Some(ENHANCE_YOUR_CALM));
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_without_end_end_their_connection() {
    let bench = Bench::start().await;
    bench
        .unnoticed(32, async {
            for part in [&b""[..], &entry("k", 200)] {
                let mut caller = bench.attacker().await;
                let begin = Frame::new(kind::HEADERS, 0, 1, &block(&[])).bytes();
                let more = Frame::new(kind::CONTINUATION, 0, 1, part);
                let all = [begin].into_iter().chain(repeated(&more, 100_000));
                let ended = caller.flood(all).await.expect("it is cut");
                assert_eq!(ended.code, Some(ENHANCE_YOUR_CALM), "{ended:?}");
            }
        })
        .await;
}

/// Answers the first PING, so that the server knows that somebody is there; then says `begin`, and no more.
async fn stops_in_the_middle(mut caller: FrameConnection, begin: &[u8]) -> HungUp {
    caller.wait_for(kind::PING).await;
    caller.bytes(begin).await;
    let said = caller.wait_for(kind::GOAWAY).await;
    caller.closed().await;
    HungUp::saying(&said)
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_that_stop_in_the_middle_end_their_connection() {
    let bench = Bench::start().await;
    let whole = call(1, "/s/echo", true).bytes();
    let no_end = Frame::new(kind::HEADERS, 0, 1, &block(&[])).bytes();
    bench
        .unnoticed(32, async {
            let all = [&whole[..20], &no_end[..]].map(async |begin| {
                let caller = bench.attacker().await;
                stops_in_the_middle(caller, begin).await
            });
            for ended in join_all(all).await {
                assert_eq!(ended.code, Some(ENHANCE_YOUR_CALM));
                assert_eq!(ended.text, "mux: headers that do not end");
            }
        })
        .await;
}
