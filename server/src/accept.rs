//! The accept loop of both listeners.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use grpc_multiplexer_process::Threads;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::newcomers::{Newcomers, Seat};

/// First pause after an accept that failed for lack of something.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
/// Longest pause.
const PAUSE_MOST: Duration = Duration::from_secs(1);

/// A connection that was accepted, with its seat among the newcomers, and the thread that is to serve it.
#[derive(Debug)]
pub(crate) struct Accepted {
    socket: std::net::TcpStream,
    pub(crate) thread: Handle,
    pub(crate) remote: SocketAddr,
    seat: Seat,
}

impl Accepted {
    /// To be called on its thread.
    pub(crate) fn open(self) -> io::Result<(TcpStream, Seat)> {
        Ok((TcpStream::from_std(self.socket)?, self.seat))
    }
}

/// Hands every connection to `serve`, which must not block, until `stop`; each with its seat among the `newcomers`, and with
/// one of the `threads`.
///
/// An accept that fails because descriptors or memory ran out would fail again at once, and burn a core: it pauses.
/// One that fails because the peer is gone already is skipped.
pub(crate) async fn accept_loop(
    listener: &TcpListener,
    name: &'static str,
    newcomers: &Arc<Newcomers>,
    threads: &Threads,
    stop: &CancellationToken,
    mut serve: impl FnMut(Accepted),
) {
    let mut pause = PAUSE_FIRST;
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted.and_then(|(socket, remote)| Ok((socket.into_std()?, remote))) {
            Ok((socket, remote)) => {
                pause = PAUSE_FIRST;
                let Some(seat) = stop.run_until_cancelled(newcomers.seat()).await else {
                    return;
                };
                let thread = threads.least_busy();
                serve(Accepted {
                    socket,
                    thread: thread.clone(),
                    remote,
                    seat,
                });
                // After all that is under way there: many who come at once do not keep the others waiting.
                let _ = timeout(PAUSE_MOST, thread.spawn(yield_now())).await;
            }
            Err(error) if is_about_one_connection(&error) => {
                tracing::debug!(%error, listener = name, "connection lost before it was accepted");
            }
            Err(error) => {
                tracing::warn!(%error, listener = name, ?pause, "cannot accept, pausing");
                if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                    return;
                }
                pause = (pause * 2).min(PAUSE_MOST);
            }
        }
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lack_of_something_pauses() {
        let emfile = io::Error::from_raw_os_error(24);
        assert!(!is_about_one_connection(&emfile));
        assert!(is_about_one_connection(
            &io::ErrorKind::ConnectionAborted.into()
        ));
    }
}
