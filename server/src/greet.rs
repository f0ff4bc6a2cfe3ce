//! What a newcomer speaks, seen before anything is answered; and answers to those who speak the wrong thing.
//!
//! Both listeners begin here, so that who came to the wrong one, or in the wrong way, is told so.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use grpc_multiplexer_process::{
    CertificateNames, ListenerTls, NO_TLS, Remarks, Shown, TLS_HANDSHAKE, channel_binding, hang_up,
    http1_answer, last_words,
};
use grpc_multiplexer_tunnel::message::{Code, Refused};
use grpc_multiplexer_tunnel::{Arrival, BoxedIo, Channel, TunnelConfig, accept};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::rewind::Rewind;

/// What an HTTP/2 client says first.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The version of yamux.
const YAMUX: u8 = 0;

/// What a newcomer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http2,
    Http1,
    Tls,
    Yamux,
    Unknown,
}

/// A newcomer whose first bytes were seen; whoever talks to it reads them again.
#[derive(Debug)]
pub(crate) struct Newcomer {
    pub(crate) speaks: Protocol,
    pub(crate) socket: Rewind<TcpStream>,
    /// How long it may take for everything else that is asked of it.
    limit: Duration,
}

/// A newcomer that speaks what it is to, within TLS or without.
pub(crate) struct Secured {
    /// What goes within.
    pub(crate) io: BoxedIo,
    /// The names of its certificate, where it was asked for one.
    pub(crate) certificate: Option<CertificateNames>,
    /// The certificate itself.
    pub(crate) shown: Shown,
    /// What both ends know of this way between them.
    pub(crate) channel: Channel,
}

/// Sees what a newcomer speaks, which may take so long.
pub(crate) async fn greet(mut socket: TcpStream, limit: Duration) -> io::Result<Newcomer> {
    let (speaks, first) = in_time(limit, first_bytes(&mut socket)).await?;
    Ok(Newcomer {
        speaks,
        socket: Rewind::new(first.freeze(), socket),
        limit,
    })
}

/// Waits for a newcomer, but not for ever.
pub(crate) async fn in_time<T>(
    limit: Duration,
    what: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    timeout(limit, what).await.map_err(late)?
}

/// As many bytes as show what it speaks.
async fn first_bytes(socket: &mut TcpStream) -> io::Result<(Protocol, BytesMut)> {
    let mut first = BytesMut::with_capacity(PREFACE.len());
    loop {
        let mut limited = socket.take((PREFACE.len() - first.len()) as u64);
        if limited.read_buf(&mut first).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(speaks) = recognise(&first) {
            return Ok((speaks, first));
        }
    }
}

/// `None` while it may still be HTTP/2.
fn recognise(first: &[u8]) -> Option<Protocol> {
    match first {
        [] => None,
        [YAMUX, ..] => Some(Protocol::Yamux),
        [TLS_HANDSHAKE, ..] => Some(Protocol::Tls),
        _ if first == PREFACE => Some(Protocol::Http2),
        _ if PREFACE.starts_with(first) => None,
        _ if looks_like_http1(first) => Some(Protocol::Http1),
        _ => Some(Protocol::Unknown),
    }
}

/// A method in capitals, as HTTP/1 begins.
fn looks_like_http1(first: &[u8]) -> bool {
    first.first().is_some_and(u8::is_ascii_uppercase)
        && first
            .iter()
            .all(|b| b.is_ascii_graphic() || b" \r\n\t".contains(b))
}

impl Newcomer {
    /// Answers HTTP/1, which may be a person with a browser, with `text`.
    pub(crate) async fn answer_http1(self, text: &str) -> io::Result<()> {
        let answer = http1_answer("505 HTTP Version Not Supported", text);
        self.last_words(answer.as_bytes()).await
    }

    /// Answers TLS that there is none here.
    pub(crate) async fn answer_tls(self) -> io::Result<()> {
        self.last_words(&NO_TLS).await
    }

    async fn last_words(self, words: &[u8]) -> io::Result<()> {
        in_time(self.limit, last_words(self.socket.into_inner(), words)).await
    }

    /// Goes on without TLS.
    pub(crate) fn in_plain_text(self) -> Secured {
        Secured {
            io: Box::new(self.socket),
            certificate: None,
            shown: Shown::default(),
            channel: Channel::Plain,
        }
    }

    /// Goes on with TLS. Who is refused is told, and gone.
    pub(crate) async fn secure(
        self,
        tls: &ListenerTls,
        remarks: &Remarks,
    ) -> io::Result<Option<Secured>> {
        let accept = async { Ok(tls.accept(self.socket).await) };
        // Boxed: over soon, and large.
        match in_time(self.limit, Box::pin(accept)).await? {
            Ok(stream) => Ok(Some(Secured {
                certificate: CertificateNames::shown(&stream),
                shown: tls.shown(&stream),
                channel: Channel::Tls(channel_binding(stream.get_ref().1)?),
                io: Box::new(stream),
            })),
            Err((error, socket)) => {
                remarks.say(format_args!("TLS refused: {error}"));
                in_time(self.limit, hang_up(socket)).await?;
                Ok(None)
            }
        }
    }

    /// Tells an edge why it has no place here. One of the original's has no ear for it.
    pub(crate) async fn refuse_edge(self, code: Code, text: String) -> io::Result<()> {
        let refuse = async {
            let arrival = accept(Box::new(self.socket), &TunnelConfig::default()).await;
            let Arrival::Hello(accepted) = arrival.map_err(io::Error::other)? else {
                return Ok(());
            };
            let refused = Refused {
                code: code.into(),
                text,
                retry_after: None,
            };
            accepted.refuse(refused).await.map_err(io::Error::other)
        };
        // Boxed: rare, and large.
        in_time(self.limit, Box::pin(refuse)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newcomer_is_known_by_its_first_bytes() {
        for (first, speaks) in [
            (&[0xff; 24][..], Some(Protocol::Unknown)),
            (b"\x01", Some(Protocol::Unknown)),
            (b"GET / HTTP/1.1\r\nhost: h\r", Some(Protocol::Http1)),
            (b"PRICE / HTTP/1.1", Some(Protocol::Http1)),
            (b"PO", Some(Protocol::Http1)),
            (b"\x16\x03\x01", Some(Protocol::Tls)),
            (b"\x00", Some(Protocol::Yamux)),
            (b"P", None),
            (&PREFACE[..23], None),
            (&PREFACE[..], Some(Protocol::Http2)),
        ] {
            assert_eq!(recognise(first), speaks, "{first:?}");
        }
    }
}
