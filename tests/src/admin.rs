//! What an admin listener answers.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::{secrets, until, within};

/// What no system gives out by itself, to a listener or to a connection, while a test has no listener there yet. *Source:* RFC
/// 6335, section 6, and Linux, which begins at 32768.
const PORTS: Range<u16> = 20_000..32_000;

/// Addresses that are free, for a process that cannot say in time where it listens, or that comes back where it was.
///
/// # Panics
///
/// When there are none.
#[must_use]
pub fn free<const N: usize>() -> [SocketAddr; N] {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let next = || {
        let taken = TAKEN.fetch_add(1, Ordering::Relaxed);
        // Other test programs begin elsewhere.
        let place = std::process::id().wrapping_mul(997).wrapping_add(taken);
        PORTS.start + (place % PORTS.len() as u32) as u16
    };
    // Without a listener, which a process that is just being started would keep until it runs its program.
    let is_free = |address: &SocketAddr| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(*address).is_ok()
    };
    [(); N].map(|()| {
        let mut addresses = PORTS.map(|_| (Ipv4Addr::LOCALHOST, next()).into());
        addresses.find(is_free).expect("a free port")
    })
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
