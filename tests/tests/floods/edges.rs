//! Edges that flood their tunnel: they lose it, and the server says why.

use grpc_multiplexer_proto::tunnel::v1::control::Message;
use grpc_multiplexer_proto::tunnel::v1::{Control, Hello};
use grpc_multiplexer_tests::yamux::{DATA, PING, SYN, WINDOW_UPDATE, first_stream, header};
use grpc_multiplexer_tests::{Mux, until, within};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::bench::Bench;

const AT_ONCE: usize = 500;
const ROUNDS: usize = 1_000;
/// A stream that nobody opened.
const NO_STREAM: u32 = 99;
/// A type that yamux does not know.
const UNKNOWN: u8 = 9;

fn hello(client_id: &str) -> Vec<u8> {
    let hello = Hello {
        min_version: 1,
        max_version: 1,
        instance_id: vec![7; 16],
        ..grpc_multiplexer_tests::hello(client_id)
    };
    let hello = Control {
        message: Some(Message::Hello(hello)),
        ..Control::default()
    }
    .encode_to_vec();
    let length = u32::try_from(hello.len()).unwrap();
    first_stream(&[&length.to_be_bytes()[..], &hello].concat())
}

/// A line of the log with both of these.
async fn says(mux: &Mux, what: &str, client_id: &str) -> String {
    until(&format!("{what:?} of {client_id}"), async || {
        let mut lines = mux.log().into_iter();
        lines.find(|line| line.contains(what) && line.contains(client_id))
    })
    .await
}

/// Says a hello as `client_id`, and then `chunks` until the server hangs up; what the server logs as the reason.
async fn flood(mux: &Mux, client_id: &str, mut chunks: impl Iterator<Item = Vec<u8>>) -> String {
    let mut socket = TcpStream::connect(mux.multiplexer).await.unwrap();
    socket.write_all(&hello(client_id)).await.unwrap();
    says(mux, "edge connected", client_id).await;
    let (mut reader, mut writer) = socket.split();
    let say = async {
        while let Some(chunk) = chunks.next()
            && writer.write_all(&chunk).await.is_ok()
        {}
    };
    let hear = async {
        let mut rest = vec![0; 64 * 1024];
        while matches!(reader.read(&mut rest).await, Ok(1..)) {}
    };
    within("the server hangs up", async { tokio::join!(say, hear) }).await;
    says(mux, "edge disconnected", client_id).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_floods_its_tunnel_loses_it() {
    let bench = Bench::start().await;
    let tiny = [header(DATA, 0, NO_STREAM, 1), vec![0]].concat();
    let huge = header(DATA, 0, NO_STREAM, 1 << 30);
    let floods = [
        (tiny, "flood of tiny frames"),
        (
            header(DATA, 0, NO_STREAM, 0),
            "flood of frames without bytes",
        ),
        (header(PING, SYN, 0, 1), "flood of frames without bytes"),
        (
            header(WINDOW_UPDATE, 0, 1, 0),
            "flood of frames without bytes",
        ),
        (header(WINDOW_UPDATE, 0, 1, u32::MAX), "reason="),
        (huge, "frame body is too large"),
        (header(UNKNOWN, 0, 1, 0), "unknown frame type"),
    ];
    bench
        .unnoticed(32, async {
            for (n, (frame, reason)) in floods.iter().enumerate() {
                let chunks = std::iter::repeat_n(frame.repeat(AT_ONCE), ROUNDS);
                let said = flood(&bench.mux, &format!("hostile-{n}"), chunks).await;
                assert!(said.contains(reason), "{frame:?}: {said}");
            }
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_opens_streams_without_end_loses_its_tunnel() {
    let bench = Bench::start().await;
    bench
        .unnoticed(32, async {
            let streams = (0..ROUNDS).map(|round| {
                let ids = (0..AT_ONCE).map(|n| 2 * (round * AT_ONCE + n) + 3);
                ids.flat_map(|id| header(WINDOW_UPDATE, SYN, u32::try_from(id).unwrap(), 0))
                    .collect()
            });
            let said = flood(&bench.mux, "opener", streams).await;
            assert!(said.contains("flood of frames without bytes"), "{said}");
        })
        .await;
}
