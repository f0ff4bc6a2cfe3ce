//! Who comes to the multiplexer listener: edges, and others who are told where to go.

use std::io;

use grpc_multiplexer_process::ListenerTerms;
use grpc_multiplexer_tunnel::message::Code;
use grpc_multiplexer_tunnel::{ALPN, BoxedIo, tune};
use tokio::net::TcpStream;

use super::listener::Edges;
use crate::credential::Credential;
use crate::greet::{Newcomer, Protocol, Secured, greet};
use crate::proxy::{Failure, misplaced};

/// What is asked of an edge that comes with TLS. Both wires go by one name, as they do on one port.
pub(crate) const TLS: ListenerTerms = ListenerTerms {
    options: "multiplexer.tls",
    protocol: ALPN,
    must_offer: true,
    tls12: false,
};

/// For a person with a browser.
const HTTP1: &str =
    "This is the multiplexer listener of a grpc-multiplexer server, where edges dial in.\n";

impl Edges {
    /// Sees that an edge may be there, and what its connection shows of who it is. Who else came is told, and gone.
    pub(super) async fn greet(
        &self,
        socket: TcpStream,
    ) -> io::Result<Option<(BoxedIo, Credential)>> {
        tune(&socket, self.config.heartbeat.dead_after)?;
        let newcomer = greet(socket, self.limits.handshake_timeout).await?;
        let settings = &self.settings;
        match settings.now(|settings| settings.multiplexer_tls.clone()) {
            None if newcomer.speaks == Protocol::Yamux => {
                Ok(Some((Box::new(newcomer.socket), Credential::default())))
            }
            Some(tls) if newcomer.speaks == Protocol::Tls => {
                let secured = newcomer.secure(&tls, &self.remarks).await?;
                Ok(secured.map(|secured| {
                    let Secured {
                        io,
                        certificate,
                        shown,
                        channel,
                    } = secured;
                    (io, Credential::of_connection(certificate, shown, channel))
                }))
            }
            _ => self.turn_away(newcomer).await.map(|()| None),
        }
    }

    async fn turn_away(&self, newcomer: Newcomer) -> io::Result<()> {
        let say = |what| self.remarks.say(what);
        match newcomer.speaks {
            Protocol::Yamux => {
                say(
                    "an edge came without TLS, which the multiplexer listener has: give the edge --multiplexer-tls-ca",
                );
                let text = "this server takes edges over TLS only; give the edge --multiplexer-tls-ca with the file of \
                            the authority that signed the server's certificate, or with `system`";
                newcomer
                    .refuse_edge(Code::Unauthenticated, text.to_owned())
                    .await
            }
            Protocol::Http2 => {
                say("a caller called the multiplexer listener: it must call the proxy listener");
                let limit = self.limits.handshake_timeout;
                let why = Failure::WrongListener(self.proxy_port);
                misplaced::send_away(newcomer.socket, &why, limit).await
            }
            Protocol::Http1 => {
                say("somebody speaks HTTP/1 to the multiplexer listener, where edges dial in");
                newcomer.answer_http1(HTTP1).await
            }
            Protocol::Tls => {
                say(
                    "somebody speaks TLS to the multiplexer listener, which has none: give the server \
                     --multiplexer-tls-certificate and --multiplexer-tls-key, or the edge no --multiplexer-tls-ca",
                );
                newcomer.answer_tls().await
            }
            Protocol::Unknown => {
                let text = "it does not speak yamux";
                Err(io::Error::new(io::ErrorKind::InvalidData, text))
            }
        }
    }
}
