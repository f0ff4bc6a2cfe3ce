//! TCP options that every socket of the product gets.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Bytes that may wait in the kernel to be sent for the first time. What waits there cannot be overtaken: a heartbeat and
/// a small call would queue behind megabytes of an upload on a slow link. As much as is handed over at a time.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 128 * 1024;

/// Sets the options that a long-lived, latency-bound pipe needs: `TCP_NODELAY` (without it Nagle and delayed
/// acknowledgements cost 40 ms a call) and keepalive; on Linux also `TCP_NOTSENT_LOWAT`, and `TCP_USER_TIMEOUT`, so that
/// the connection ends when bytes were not acknowledged for `unacknowledged`, and not after the kernel's quarter of an
/// hour.
///
/// A peer that acknowledges but takes nothing, because whoever should read is stopped, counts as well: `unacknowledged`
/// is also how long the peer may stand still while bytes wait for it.
///
/// # Errors
///
/// When the socket is gone already.
pub fn tune(socket: &TcpStream, unacknowledged: Duration) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(30));
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    let keepalive = keepalive
        .with_interval(Duration::from_secs(10))
        .with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    {
        socket.set_tcp_user_timeout(Some(unacknowledged))?;
        socket.set_tcp_notsent_lowat(UNSENT)?;
    }
    Ok(())
}
