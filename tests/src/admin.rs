//! What an admin listener answers.

use std::net::{SocketAddr, TcpListener};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{secrets, until, within};

/// Addresses that are free, for a process that cannot say in time where it listens.
///
/// # Panics
///
/// When there are none.
#[must_use]
pub fn free<const N: usize>() -> [SocketAddr; N] {
    // All are held until the last is found, so that no two are the same.
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap())
}

/// Waits until a process answers at all, and that it is ready.
///
/// # Panics
///
/// When it is not.
pub async fn is_ready(admin: SocketAddr) {
    until("a process is ready", async || {
        TcpStream::connect(admin).await.ok()?;
        (page(admin, "/readyz").await.0 == 200).then_some(())
    })
    .await;
}

/// Status and body of a page.
///
/// # Panics
///
/// When there is no such answer.
pub async fn page(admin: SocketAddr, path: &str) -> (u16, String) {
    let ask = async {
        let mut socket = TcpStream::connect(admin).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = within("an answer of the admin listener", ask).await;
    secrets::are_not_in(path, &answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap();
    (status.parse().unwrap(), body.to_owned())
}

/// The value of one series, such as `calls_total{code="OK",origin="backend"}`; 0 for one that is not there yet.
///
/// # Panics
///
/// When the page is not there.
pub async fn metric(admin: SocketAddr, series: &str) -> f64 {
    let (status, text) = page(admin, "/metrics").await;
    assert_eq!(status, 200);
    let value = |line: &str| {
        let line = line.strip_prefix("grpc_multiplexer_")?;
        line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok()
    };
    text.lines().find_map(value).unwrap_or(0.0)
}
