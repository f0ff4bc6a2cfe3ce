//! Frames of callers that cost them nothing: each kind has a limit, and who is over it loses the connection.

use grpc_multiplexer_tests::{Frame, HungUp, kind};

use crate::bench::{Bench, ENHANCE_YOUR_CALM, call, repeated};

/// A type that HTTP/2 does not know.
const UNKNOWN: u8 = 0xfa;
/// ACK.
const ACK: u8 = 1;

fn calm(text: &str) -> Option<HungUp> {
    Some(HungUp {
        code: Some(ENHANCE_YOUR_CALM),
        text: text.to_owned(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_one_kind_of_frame_ends_its_connection() {
    let bench = Bench::start().await;
    let control = "mux: too many control frames";
    let credit = 1u32.to_be_bytes();
    let floods = [
        (Frame::new(kind::PING, 0, 0, b"flooding"), control),
        (Frame::new(kind::PING, ACK, 0, b"flooding"), control),
        (Frame::settings(false), control),
        (Frame::new(UNKNOWN, 0, 0, b"?"), control),
        (
            Frame::new(kind::PRIORITY, 0, 3, &[0, 0, 0, 0, 1]),
            "mux: too many PRIORITY frames",
        ),
        (
            Frame::new(kind::WINDOW_UPDATE, 0, 0, &credit),
            "mux: too many WINDOW_UPDATE frames",
        ),
        (
            Frame::new(kind::WINDOW_UPDATE, 0, 1, &credit),
            "mux: too many WINDOW_UPDATE frames",
        ),
        (
            Frame::data(1, b"", false),
            "mux: too many empty DATA frames",
        ),
        (Frame::reset(1, 8), "mux: too many RST_STREAM frames"),
    ];
    bench
        .unnoticed(32, async {
            for (frame, text) in &floods {
                let ended = bench.flood(repeated(frame, 100_000)).await;
                assert_eq!(ended, calm(text), "{frame:?}");
            }
        })
        .await;
    bench.mux.says("kind=\"control-frames\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_calls_bring_with_them_are_no_flood() {
    let bench = Bench::start().await;
    bench
        .unnoticed(32, async {
            let mut caller = bench.attacker().await;
            // As grpc-go does on a fast link: a PING and two WINDOW_UPDATEs for each DATA that came.
            let credit = 8u32.to_be_bytes();
            for n in 0..3_000 {
                let stream = 2 * n + 1;
                caller
                    .send_all(&[
                        call(stream, "/s/echo", false),
                        Frame::data(stream, b"a message", true),
                    ])
                    .await;
                caller.wait_for(kind::DATA).await;
                caller
                    .send_all(&[
                        Frame::new(kind::PING, 0, 0, b"how far?"),
                        Frame::new(kind::WINDOW_UPDATE, 0, 0, &credit),
                        Frame::new(kind::WINDOW_UPDATE, 0, stream, &credit),
                        Frame::new(kind::PRIORITY, 0, stream, &[0, 0, 0, 0, 1]),
                        Frame::reset(stream, 8),
                    ])
                    .await;
            }
            assert_eq!(caller.flood([]).await, None, "it lives");
        })
        .await;
}
