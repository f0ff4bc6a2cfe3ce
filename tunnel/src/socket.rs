//! TCP options that every socket of the product gets.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Sets the options that a long-lived, latency-bound pipe needs: `TCP_NODELAY` (without it Nagle and delayed
/// acknowledgements cost 40 ms a call), keepalive, and on Linux `TCP_USER_TIMEOUT`, so that unacknowledged bytes end
/// the connection after 20 s and not after the kernel's quarter of an hour.
///
/// # Errors
///
/// When the socket is gone already.
pub fn tune(socket: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(30));
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    let keepalive = keepalive
        .with_interval(Duration::from_secs(10))
        .with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(Duration::from_secs(20)))?;
    Ok(())
}
