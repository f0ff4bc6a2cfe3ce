//! Peers at the multiplexer port that are no edges of ours: they are hung up on, and nobody else notices.

use std::net::SocketAddr;

use grpc_multiplexer_tests::yamux::{DATA, SYN, WINDOW_UPDATE, first_stream, header};
use grpc_multiplexer_tests::{Backend, Caller, Edge, Mux, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Says `bytes`, and waits until the server hangs up.
async fn is_hung_up_on(server: SocketAddr, bytes: &[u8]) {
    let mut socket = TcpStream::connect(server).await.unwrap();
    // The server may hang up before all is said.
    let _ = socket.write_all(bytes).await;
    within("the server hangs up", async {
        let mut rest = [0; 4096];
        while !matches!(socket.read(&mut rest).await, Ok(0) | Err(_)) {}
    })
    .await;
}

/// An edge whose calls must go through, whatever others do.
struct Innocent {
    caller: Caller,
    _edge: Edge,
    _backend: Backend,
}

impl Innocent {
    async fn beside(mux: &Mux) -> Self {
        let backend = Backend::h2(|mut call| async move {
            call.read_all().await;
            call.ok(b"fine").await;
        })
        .await;
        Self {
            caller: Caller::connect(mux.proxy).await,
            _edge: Edge::start(mux, "innocent", backend.address).await,
            _backend: backend,
        }
    }

    async fn is_fine(&self) {
        let metadata = [("client-id", "innocent")];
        let answer = self.caller.call("/s/m", &metadata, b"").await;
        assert_eq!(answer.body, b"fine", "{answer:?}");
    }
}

#[tokio::test]
async fn what_speaks_no_yamux_is_hung_up_on() {
    let mux = Mux::start().await;
    let innocent = Innocent::beside(&mux).await;
    let garbage = [0xff; 1024];
    for bytes in [
        &b"rainbow\nrainbow\n"[..],
        b"GET / HTTP/1.1\r\nhost: h\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &garbage,
    ] {
        is_hung_up_on(mux.multiplexer, bytes).await;
    }
    innocent.is_fine().await;
}

#[tokio::test]
async fn what_says_no_hello_is_hung_up_on() {
    let mux = Mux::start().await;
    let innocent = Innocent::beside(&mux).await;
    // Text, a length over the limit, no protobuf, another message than a hello, half a hello and then silence.
    for bytes in [
        first_stream(b"no id\n"),
        first_stream(&[0, 1, 0, 1]),
        first_stream(&[0, 0, 0, 2, 0xff, 0xff]),
        first_stream(&[0, 0, 0, 2, 0x32, 0x00]),
        first_stream(&[0, 0, 0, 9, 0x0a]),
    ] {
        is_hung_up_on(mux.multiplexer, &bytes).await;
    }
    innocent.is_fine().await;
}

#[tokio::test]
async fn a_flood_of_streams_or_of_tiny_frames_harms_nobody_else() {
    let mux = Mux::start().await;
    let innocent = Innocent::beside(&mux).await;
    let streams: Vec<u8> = (0..2_000)
        .flat_map(|n| header(WINDOW_UPDATE, SYN, 2 * n + 1, 0))
        .collect();
    let mut tiny = Vec::new();
    for stream in 0..64 {
        let flags = |first| if first { SYN } else { 0 };
        for byte in 0..4_096 {
            tiny.extend(header(DATA, flags(byte == 0), 2 * stream + 1, 1));
            tiny.push(0);
        }
    }
    let server = mux.multiplexer;
    tokio::join!(
        is_hung_up_on(server, &streams),
        is_hung_up_on(server, &tiny),
        async {
            for _ in 0..100 {
                innocent.is_fine().await;
            }
        }
    );
    innocent.is_fine().await;
}
