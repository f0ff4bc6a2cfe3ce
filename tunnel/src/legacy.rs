//! The wire of the original program, both ways.
//!
//! The edge opens the first stream of a yamux session and writes its client id and a newline on it. What follows on that
//! stream is a second yamux session, in which the *server* is the client: it opens streams, and each is one HTTP/2
//! connection. The line is not answered, nothing says how a stream ended, and nobody says goodbye.
//!
//! The original's server reads the line through a buffer that it then throws away, together with whatever the edge sent
//! behind the line. So an edge must keep still until the first byte of the second session came *from* the server. That
//! byte comes at once, because the original's server opens its one stream at once, and shows that the id was taken.

use tokio::io::{AsyncRead, AsyncWriteExt as _};
use tokio::time::timeout;
use yamux::Mode;

use crate::config::TunnelConfig;
use crate::handshake::codec::MessageReader;
use crate::io::BoxedIo;
use crate::session::{ControlStream, Start, Wire, start};
use crate::{ClientId, Established, HandshakeError};

/// Longest line without its newline: a client id.
const LINE: usize = 128;

/// An edge of the original's that gave its id and waits to be taken. Dropped, its tunnel is closed: the original's only
/// way to say no.
pub struct LegacyEdge {
    outer: Start,
    control: ControlStream,
    client_id: ClientId,
}

impl std::fmt::Debug for LegacyEdge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LegacyEdge")
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

impl LegacyEdge {
    pub(crate) fn new(outer: Start, control: ControlStream, client_id: ClientId) -> Self {
        Self {
            outer,
            control,
            client_id,
        }
    }

    /// The id it wants.
    #[must_use]
    pub fn client_id(&self) -> &ClientId {
        &self.client_id
    }

    /// What comes of `decision`, which may take its time, as long as the edge is there.
    ///
    /// # Errors
    ///
    /// When the edge hangs up before. The decision is dropped then.
    pub async fn while_there<T>(
        &mut self,
        decision: impl Future<Output = T>,
    ) -> Result<T, HandshakeError> {
        self.outer.while_there(decision).await
    }

    /// Takes the tunnel. Its endpoint is [`BARE_ENDPOINT`](crate::BARE_ENDPOINT).
    #[must_use]
    pub fn take(self, config: &TunnelConfig) -> Established {
        Start::establish_bare(self.outer, self.control, Mode::Client, config)
    }
}

/// The client id that the line in `reader` spells; what follows the line stays in `reader`.
pub(crate) async fn read_line(
    reader: &mut MessageReader<impl AsyncRead + Unpin>,
) -> Result<ClientId, HandshakeError> {
    let line = reader.line(LINE).await.map_err(HandshakeError::of_bytes)?;
    ClientId::from_bytes(&line).map_err(|error| {
        let text = format!("the line that should be a client id {error}");
        HandshakeError::Malformed(std::io::Error::new(std::io::ErrorKind::InvalidData, text))
    })
}

/// Introduces this edge to a server of the original's over `io`, and waits until the server took it.
///
/// # Errors
///
/// [`HandshakeError::Lost`] when the server hangs up, which is how it refuses an id that is taken;
/// [`HandshakeError::Timeout`] when it does nothing.
pub async fn dial_legacy(
    io: BoxedIo,
    client_id: &ClientId,
    config: &TunnelConfig,
) -> Result<Established, HandshakeError> {
    let mut outer = start(io, Mode::Client, Wire::Messages, config);
    let deadline = config.hello_timeout;
    let control = outer.opener.open_control();
    let introduce = async {
        let mut control = control.await?;
        let line = format!("{client_id}\n");
        let said = control.writer.write_all(line.as_bytes()).await;
        said.map_err(HandshakeError::Lost)?;
        match control.reader.peek().await {
            Ok(Some(_)) => Ok(control),
            Ok(None) => Err(HandshakeError::Lost(
                std::io::ErrorKind::UnexpectedEof.into(),
            )),
            Err(error) => Err(HandshakeError::Lost(error)),
        }
    };
    let introduced = timeout(deadline, outer.driver.alongside(introduce)).await;
    let control = introduced
        .unwrap_or(Err(HandshakeError::Timeout(deadline)))
        .map_err(|error| outer.explain(error))?;
    Ok(Start::establish_bare(outer, control, Mode::Server, config))
}

#[cfg(test)]
mod tests;
