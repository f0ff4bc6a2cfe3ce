//! Who comes to the proxy listener: callers, and others who are told how to come.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use grpc_multiplexer_process::{ListenerTerms, Shown};
use grpc_multiplexer_tunnel::message::Code;
use grpc_multiplexer_tunnel::{BoxedIo, tune};
use tokio::net::TcpStream;

use super::listener::{Callers, H2, PING_TIMEOUT};
use super::misplaced;
use super::rescue::Failure;
use crate::gather::Gathering;
use crate::greet::{Newcomer, Protocol, Secured, greet, in_time};
use crate::guard::{FrameGuard, Turn};
use crate::limits::Limits;
use crate::policy::Certificate;
use crate::rewind::Written;
use crate::windows::{DATA_FRAME_BUDGET, FRAME_SIZE, Holdings, SEND_BUFFER, STREAM_WINDOW};

/// What is asked of a caller that comes with TLS. *Source:* gRPC over HTTP/2, "Security".
pub(crate) const TLS: ListenerTerms = ListenerTerms {
    options: "proxy.tls",
    protocol: "h2",
    must_offer: true,
    tls12: true,
};

/// Streams that are reset before we accepted them: far more than a turn of the guard can hold.
const PENDING_RESETS: usize = 4_096;
/// Resets that a caller may provoke in its connection's life. Not h2's 1,024: among them it counts streams over the limit,
/// and its own client opens such streams when it cancels many calls at once, because it forgets them before their
/// RST_STREAM went out. What a caller makes us reset counts as a cancel of its own, too.
const LOCAL_RESETS: usize = 10_000;

/// For a person with a browser, or a tool that was not told to speak HTTP/2.
const HTTP1: &str = "gRPC requires HTTP/2\n\n\
    This is the proxy listener of a grpc-multiplexer server. gRPC clients call it in plain text over HTTP/2, with the \
    name of an edge in the metadata client-id, for example:\n\n    \
    grpcurl -plaintext -H 'client-id: NAME' HOST:PORT list\n";
/// The same where there is TLS.
const HTTP1_WITHOUT_TLS: &str = "gRPC requires HTTP/2, and this server TLS\n\n\
    This is the proxy listener of a grpc-multiplexer server. gRPC clients call it with TLS, with the name of an edge in \
    the metadata client-id, for example:\n\n    \
    grpcurl -cacert CA.pem -H 'client-id: NAME' HOST:PORT list\n";

/// A caller that began to speak HTTP/2.
pub(super) struct Met {
    pub(super) connection: H2,
    /// What it showed within TLS, where it was asked for one.
    pub(super) certificate: Option<Certificate>,
    /// The certificate itself.
    pub(super) shown: Shown,
    pub(super) written: Written,
    pub(super) turn: Turn,
}

impl Callers {
    /// What came, if it is a caller. Who else came is told, and gone.
    pub(super) async fn meet(&self, socket: TcpStream) -> io::Result<Option<Met>> {
        tune(&socket, PING_TIMEOUT)?;
        let mut newcomer = greet(socket, self.limits.handshake_timeout).await?;
        // Of what goes to the socket, under TLS.
        let written = newcomer.socket.written();
        let settings = &self.proxy.settings;
        let secured = match settings.now(|settings| settings.proxy_tls.clone()) {
            None if newcomer.speaks == Protocol::Http2 => Some(newcomer.in_plain_text()),
            Some(tls) if newcomer.speaks == Protocol::Tls => {
                newcomer.secure(&tls, &self.remarks).await?
            }
            tls => {
                self.turn_away(newcomer, tls.is_some()).await?;
                None
            }
        };
        let Some(Secured {
            io,
            certificate,
            shown,
            ..
        }) = secured
        else {
            return Ok(None);
        };
        let turn = Turn::default();
        let io = FrameGuard::of_caller(Gathering::new(io), turn.clone(), Arc::clone(&self.floods));
        Ok(Some(Met {
            connection: handshake(io, &self.limits).await?,
            certificate: certificate.map(Certificate::from),
            shown,
            written,
            turn,
        }))
    }

    async fn turn_away(&self, newcomer: Newcomer, has_tls: bool) -> io::Result<()> {
        let say = |what| self.remarks.say(what);
        match newcomer.speaks {
            Protocol::Http2 => {
                say(
                    "a caller came without TLS, which the proxy listener has (--proxy-tls-certificate): it must call with TLS",
                );
                let limit = self.limits.handshake_timeout;
                misplaced::send_away(newcomer.socket, &Failure::TlsRequired, limit).await
            }
            Protocol::Http1 => {
                say("a caller speaks HTTP/1, and gRPC needs HTTP/2");
                let text = if has_tls { HTTP1_WITHOUT_TLS } else { HTTP1 };
                newcomer.answer_http1(text).await
            }
            Protocol::Tls => {
                say(
                    "a caller speaks TLS, and this listener does not: it must call in plain text (grpcurl -plaintext, \
                     insecure_channel), or the server be given --proxy-tls-certificate and --proxy-tls-key",
                );
                newcomer.answer_tls().await
            }
            Protocol::Yamux => {
                say("an edge dialled the proxy listener: it must dial the multiplexer listener");
                let text = format!(
                    "this is the proxy listener, where callers call; edges dial the multiplexer listener, here port {}",
                    self.multiplexer_port
                );
                newcomer.refuse_edge(Code::WrongListener, text).await
            }
            Protocol::Unknown => {
                let text = "it does not speak HTTP/2";
                Err(io::Error::new(io::ErrorKind::InvalidData, text))
            }
        }
    }
}

/// Begins to speak HTTP/2.
async fn handshake(io: FrameGuard<Gathering<BoxedIo>>, limits: &Limits) -> io::Result<H2> {
    let calls = limits.calls_per_connection;
    let handshake = h2::server::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(Holdings::default().target(STREAM_WINDOW))
        .max_frame_size(FRAME_SIZE)
        .max_concurrent_streams(calls)
        .max_header_list_size(limits.metadata.header_list())
        .max_send_buffer_size(SEND_BUFFER)
        .data_frame_budget(DATA_FRAME_BUDGET)
        // A caller may cancel all its calls at once, before we accepted them.
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(Some(LOCAL_RESETS))
        // DATA under way to a stream that we reset is forgiven while the reset is remembered.
        .max_concurrent_reset_streams(calls as usize)
        .reset_stream_duration(Duration::from_secs(30))
        .handshake(io);
    let limit = limits.handshake_timeout;
    in_time(limit, async { handshake.await.map_err(io::Error::other) }).await
}
