//! Mistakes that people make on the first day: each has a message of its own, at both ends.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

use std::net::SocketAddr;

use grpc_multiplexer_tests::yamux::first_stream;
use grpc_multiplexer_tests::{
    Authority, Backend, Caller, Edge, Folder, Mux, Path, Process, within,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The beginning of a ClientHello, which is as much as anybody looks at.
const CLIENT_HELLO: [u8; 11] = [0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3];
/// What a TLS server says to what is none, and what our listeners say to TLS.
const ALERT: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 40];
const NOWHERE: &str = "127.0.0.1:1";

/// Everything that whoever listens there answers to `bytes`.
async fn answer(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    within("an answer and its end", socket.read_to_end(&mut answer))
        .await
        .unwrap();
    answer
}

/// Something at an address that says `words` as soon as somebody comes, and then waits.
async fn saying(words: &'static [u8]) -> Backend {
    Backend::tcp(move |mut socket| async move {
        let _ = socket.write_all(words).await;
        let _ = socket.read_to_end(&mut Vec::new()).await;
    })
    .await
}

#[tokio::test]
async fn an_edge_at_the_proxy_listener_is_told_where_to_dial() {
    let mux = Mux::start().await;
    let edge = Edge::dialling(mux.proxy, "rainbow", NOWHERE, &[]);
    edge.says("this is the proxy listener, where callers call")
        .await;
    edge.says(&format!(
        "edges dial the multiplexer listener, here port {}",
        mux.multiplexer.port()
    ))
    .await;
    mux.says("an edge dialled the proxy listener").await;
    // Of the original's wire, which has no words.
    let legacy = ["--tunnel-protocol", "legacy"];
    let _edge = Edge::dialling(mux.proxy, "rainbow", NOWHERE, &legacy);
    mux.says_times("an edge dialled the proxy listener", 2)
        .await;
}

#[tokio::test]
async fn a_caller_at_the_multiplexer_listener_is_told_where_to_call() {
    let mux = Mux::start().await;
    let caller = Caller::connect(mux.multiplexer).await;
    let message = format!(
        "mux: this is the multiplexer listener, where edges dial in; callers call the proxy listener, here port {}",
        mux.proxy.port()
    );
    for _ in 0..3 {
        let answer = caller.call("/s/m", &[("client-id", "rainbow")], b"x").await;
        answer.is_ours(9, &message, "wrong-listener", "no");
    }
    mux.says("a caller called the multiplexer listener").await;
}

#[tokio::test]
async fn tls_is_answered_in_its_own_words_at_both_listeners() {
    let mux = Mux::start().await;
    assert_eq!(answer(mux.proxy, &CLIENT_HELLO).await, ALERT);
    mux.says("a caller speaks TLS").await;
    assert_eq!(answer(mux.multiplexer, &CLIENT_HELLO).await, ALERT);
    mux.says("somebody speaks TLS to the multiplexer listener")
        .await;
}

#[tokio::test]
async fn plain_text_is_told_to_come_with_tls_at_a_listener_that_has_it() {
    let folder = Folder::new("plain");
    let [certificate, key] = Authority::new("a").signs("127.0.0.1").put(&folder, "proxy");
    let options = [
        "--proxy-tls-certificate",
        &certificate,
        "--proxy-tls-key",
        &key,
    ];
    let mux = Mux::with(&options).await;
    let caller = Caller::connect(mux.proxy).await;
    for _ in 0..3 {
        let answer = caller.call("/s/m", &[("client-id", "rainbow")], b"x").await;
        let message = "mux: this server takes callers over TLS only";
        answer.is_ours(9, message, "tls-required", "no");
    }
    mux.says("a caller came without TLS, which the proxy listener has (--proxy-tls-certificate)")
        .await;
    let get = b"GET / HTTP/1.1\r\nhost: mux\r\n\r\n";
    let answer = String::from_utf8(answer(mux.proxy, get).await).unwrap();
    assert!(answer.contains("gRPC clients call it with TLS"), "{answer}");
}

#[tokio::test]
async fn a_browser_is_answered_at_both_listeners() {
    let mux = Mux::start().await;
    let get = b"GET / HTTP/1.1\r\nhost: mux\r\nuser-agent: browser\r\n\r\n";
    for (address, words) in [
        (mux.proxy, "client-id"),
        (mux.multiplexer, "where edges dial in"),
    ] {
        let answer = String::from_utf8(answer(address, get).await).unwrap();
        assert!(answer.starts_with("HTTP/1.1 505 "), "{answer}");
        assert!(answer.contains(words), "{answer}");
    }
    mux.says("a caller speaks HTTP/1").await;
    mux.says("somebody speaks HTTP/1 to the multiplexer listener")
        .await;
}

#[tokio::test]
async fn an_edge_says_what_it_dialled_in_place_of_a_server() {
    let http1 = saying(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    let tls = saying(&ALERT).await;
    let http2 = Backend::echo().await;
    for (server, said) in [
        (&http1, "the address answers with HTTP/1"),
        (&tls, "the address answers with TLS"),
        (&http2, "the address answers with HTTP/2"),
    ] {
        let edge = Edge::dialling(server.address, "rainbow", NOWHERE, &[]);
        edge.says(said).await;
        edge.says("dialling again").await;
    }
}

#[tokio::test]
async fn an_edge_says_what_its_backend_speaks_in_place_of_http_2() {
    let http1 = saying(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    let tls = saying(&ALERT).await;
    for (backend, said) in [(&http1, "it speaks HTTP/1"), (&tls, "https://HOST:PORT")] {
        let path = Path::to(backend).await;
        let answer = path.ask(&[]).await.answer().await;
        let message = "mux: backend of edge 'rainbow' unreachable (not-http2)";
        answer.is_ours(14, message, "backend-connect", "no");
        path.edge.says(said).await;
    }
}

#[tokio::test]
async fn an_edge_says_that_its_backend_speaks_no_tls() {
    let backend = Backend::echo().await;
    let mux = Mux::start().await;
    let address = format!("https://localhost:{}", backend.address.port());
    let edge = Edge::dialling(mux.multiplexer, "rainbow", &address, &[]);
    edge.says("the backend does not speak TLS").await;
    edge.says(" connected ").await;
    let caller = Caller::connect(mux.proxy).await;
    let answer = caller.call("/s/m", &[("client-id", "rainbow")], b"").await;
    let message = "mux: backend of edge 'rainbow' unreachable (tls)";
    answer.is_ours(14, message, "backend-connect", "no");
}

#[tokio::test]
async fn an_edge_of_another_version_is_told_which_the_server_speaks() {
    let mux = Mux::start().await;
    // Control{1: Hello{1: min 7, 2: max 8}}
    let hello = [0, 0, 0, 6, 0x0a, 4, 0x08, 7, 0x10, 8];
    let said = answer_until(mux.multiplexer, &first_stream(&hello), b"the edge 7 to 8").await;
    assert!(said, "the refusal names no versions");
    mux.says("tunnel protocol 1").await;
}

/// Whether `words` come before the other end hangs up.
async fn answer_until(address: SocketAddr, bytes: &[u8], words: &[u8]) -> bool {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    let mut came = Vec::new();
    within("the words, or the end", async {
        while !came.windows(words.len()).any(|part| part == words) {
            if !matches!(socket.read_buf(&mut came).await, Ok(1..)) {
                return false;
            }
        }
        true
    })
    .await
}

#[tokio::test]
async fn twins_are_told_apart_at_both_ends() {
    let backend = Backend::echo().await;
    let mux = Mux::start().await;
    let first = Edge::start(&mux, "rainbow", backend.address).await;
    let second = Edge::dialling(mux.multiplexer, "rainbow", NOWHERE, &[]);
    let words = "another edge is connected as 'rainbow'; each edge needs a name of its own";
    second.says(words).await;
    second.says("dialling again").await;
    mux.says(words).await;
    // Once the first is gone the second has the name.
    drop(first);
    second.says(" connected ").await;
}

#[tokio::test]
async fn an_edge_says_that_it_is_connected_what_it_lost_and_when_it_tries_again() {
    let backend = Backend::echo().await;
    let mut mux = Mux::start().await;
    let edge = Edge::start(&mux, "rainbow", backend.address).await;
    let connected = edge.says(" connected ").await;
    assert!(connected.contains("protocol=\"1\""), "{connected}");
    mux.kill().await;
    let lost = edge.says("tunnel lost").await;
    assert!(lost.contains("reason="), "{lost}");
    let next = edge.says("dialling again").await;
    assert!(next.contains("after="), "{next}");
    let no = edge.says("no tunnel").await;
    assert!(no.contains("cannot connect"), "{no}");
}

/// As a gRPC server with TLS does that meets plain text: it hangs up, and says nothing. Where it leaves some of the preface
/// unread, its system resets the connection.
#[tokio::test]
async fn an_edge_says_that_its_backend_hangs_up_without_a_word() {
    for reads in [1, 1024] {
        let backend = Backend::tcp(move |mut socket| async move {
            let _ = socket.read(&mut vec![0; reads]).await;
        })
        .await;
        let path = Path::to(&backend).await;
        let answer = path.ask(&[]).await.answer().await;
        let message = "mux: backend of edge 'rainbow' unreachable (refused)";
        answer.is_ours(14, message, "backend-connect", "no");
        path.edge.says("hangs up without a word").await;
    }
}

#[tokio::test]
async fn what_is_no_command_is_answered_with_the_commands() {
    let edge = Process::start("grpc-multiplexer-client", &["lst"]);
    edge.says("unrecognized subcommand 'lst'").await;
    edge.says("list").await;
}
