//! One question to the admin listener, and its answer.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tracing::debug;

use crate::{ListenerTls, NO_TLS, Remarks, TLS_HANDSHAKE, hang_up, http1_answer, last_words};

/// For who asks in plain text where there is TLS.
const PLAIN: &str = "this listener speaks TLS: ask with https:// instead\n";

/// Answers whoever came, if it speaks what is spoken here. It has no deadline of its own.
pub(super) async fn exchange(
    socket: TcpStream,
    router: Router,
    tls: Option<ListenerTls>,
    remarks: &Remarks,
) {
    let mut first = [0];
    if !matches!(socket.peek(&mut first).await, Ok(1)) {
        return;
    }
    let done = match (tls, first == [TLS_HANDSHAKE]) {
        (None, false) => return answer(socket, router).await,
        (Some(tls), true) => match tls.accept(socket).await {
            Ok(stream) => return answer(stream, router).await,
            Err((error, socket)) => {
                remarks.say(format_args!("admin: TLS refused: {error}"));
                hang_up(socket).await
            }
        },
        (Some(_), false) => {
            remarks.say(
                "admin: somebody asks in plain text, where there is TLS (--admin-tls-certificate)",
            );
            last_words(socket, http1_answer("400 Bad Request", PLAIN)).await
        }
        (None, true) => {
            remarks.say(
                "admin: somebody speaks TLS, and this listener does not: ask in plain text, or give \
                   --admin-tls-certificate and --admin-tls-key"
            );
            last_words(socket, NO_TLS).await
        }
    };
    if let Err(error) = done {
        debug!(%error, "admin: exchange failed");
    }
}

async fn answer<T: AsyncRead + AsyncWrite + Send + Unpin + 'static>(io: T, router: Router) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        // Whoever keeps a connection would keep a place.
        .keep_alive(false)
        .serve_connection(TokioIo::new(io), TowerToHyperService::new(router))
        .await;
    if let Err(error) = served {
        debug!(%error, "admin: exchange failed");
    }
}
