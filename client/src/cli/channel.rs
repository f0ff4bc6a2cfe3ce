//! The way to a proxy address: what listens there, if anything, and a channel for calls.

use std::io;
use std::time::Duration;

use grpc_multiplexer_process::HostPort;
use grpc_multiplexer_tunnel::Speaks;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};

use super::status::Trouble;

/// How long the other end may take for each thing that is asked of it.
pub(super) const LIMIT: Duration = Duration::from_secs(10);
/// A silent server is asked for a sign of life this often.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// HTTP/2's preface, and SETTINGS with nothing in them.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// A yamux ping. A multiplexer port answers it, or sends one of its own; nothing else does.
const PING: [u8; 12] = *b"\0\x02\0\x01\0\0\0\0ping";

/// Sees that a proxy may be there.
pub(super) async fn reach(address: &HostPort) -> Result<(), Trouble> {
    dial(address).await?;
    greet(address).await
}

/// A channel that connects with its first call.
pub(super) fn channel(address: &HostPort) -> Channel {
    Endpoint::from_shared(format!("http://{address}"))
        .expect("a host and a port make a URI")
        .connect_timeout(LIMIT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(LIMIT)
        .keep_alive_while_idle(true)
        .connect_lazy()
}

/// Sees that something listens.
pub(super) async fn dial(address: &HostPort) -> Result<TcpStream, Trouble> {
    let dialled = timeout(LIMIT, TcpStream::connect((address.host(), address.port()))).await;
    let failed = |why: &dyn std::fmt::Display, advice| {
        Trouble::new(format!("cannot connect to {address} ({why})"), advice)
    };
    match dialled {
        Ok(Ok(socket)) => Ok(socket),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Err(Trouble::new(
            format!("nothing listens on {address}"),
            "start grpc-multiplexer-server, or give the address of its --proxy-listener as --proxy-address",
        )),
        Ok(Err(error)) => Err(failed(&error, "is it the right --proxy-address?")),
        Err(_) => Err(failed(
            &format_args!("no answer within {LIMIT:?}"),
            "is it the right --proxy-address, and does a firewall let it through?",
        )),
    }
}

/// Sees that HTTP/2 is spoken.
pub(super) async fn greet(address: &HostPort) -> Result<(), Trouble> {
    let answer = exchange(address, HTTP2).await?;
    let (speaks, advice) = match Speaks::of_server(&answer) {
        Some(Speaks::Http2) => return Ok(()),
        Some(Speaks::Http1) => (
            "it speaks HTTP/1",
            "that is no gRPC server: is it the right port?",
        ),
        Some(Speaks::Tls) => (
            "it speaks TLS",
            "this command speaks plain HTTP/2 only: give it the address of a listener without TLS",
        ),
        _ if is_multiplexer(address).await => (
            "it is where edges dial in",
            "give the address of the server's --proxy-listener as --proxy-address",
        ),
        _ if answer.is_empty() => ("it says nothing", "is it the right port?"),
        _ => ("it speaks something else", "is it the right port?"),
    };
    let what = format!("what listens on {address} does not speak HTTP/2: {speaks}");
    Err(Trouble::new(what, advice))
}

/// Whether edges dial in there, and calls are not answered.
async fn is_multiplexer(address: &HostPort) -> bool {
    let answer = exchange(address, &PING).await;
    answer.is_ok_and(|answer| matches!(answer[..], [0, 2, 0, 1 | 2, 0, 0, 0, 0, ..]))
}

/// Says `words` on a connection of their own. The first few bytes of the answer, or none.
async fn exchange(address: &HostPort, words: &[u8]) -> Result<Vec<u8>, Trouble> {
    let socket = dial(address).await?;
    let mut answer = Vec::new();
    let talk = async {
        let mut socket = socket;
        socket.write_all(words).await?;
        socket
            .take(PING.len() as u64)
            .read_to_end(&mut answer)
            .await
    };
    // A connection that breaks, or falls silent, has said what it has said.
    let _ = timeout(LIMIT, talk).await;
    Ok(answer)
}
