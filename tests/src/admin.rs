//! What an admin listener answers.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::within;

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
