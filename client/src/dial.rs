//! One attempt to get a tunnel: TCP, then hello.

use std::io;
use std::time::Duration;

use grpc_multiplexer_process::HostPort;
use grpc_multiplexer_tunnel::message::{Code, Endpoint, Hello, Refused, Verdict, Welcome};
use grpc_multiplexer_tunnel::{BoxedIo, Established, HandshakeError, tune};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::EdgeConfig;

/// How long a server may take to take the TCP connection: as gRPC's minimum connect timeout.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// The only endpoint of an edge.
pub(crate) const ENDPOINT: u32 = 1;

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttemptError {
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    #[error("no connection within {CONNECT_TIMEOUT:?}")]
    ConnectTimeout,
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
}

impl AttemptError {
    /// Whether trying again soon can help.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Handshake(error) => error.is_transient(),
            Self::Connect(_) | Self::ConnectTimeout => true,
        }
    }

    /// How long the server asked to wait.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Handshake(HandshakeError::Refused(refused)) => {
                Duration::try_from(refused.retry_after?).ok()
            }
            _ => None,
        }
    }
}

/// Dials `server` and registers.
pub(crate) async fn attempt(
    server: &HostPort,
    config: &EdgeConfig,
    instance_id: &[u8],
) -> Result<(Established, Verdict), AttemptError> {
    let socket = timeout(
        CONNECT_TIMEOUT,
        TcpStream::connect((server.host(), server.port())),
    )
    .await
    .map_err(|_| AttemptError::ConnectTimeout)?
    .map_err(AttemptError::Connect)?;
    tune(&socket).map_err(AttemptError::Connect)?;
    let io: BoxedIo = Box::new(socket);
    let (established, welcome) =
        grpc_multiplexer_tunnel::dial(io, hello(config, instance_id), &config.tunnel).await?;
    let verdict = our_verdict(welcome)?;
    Ok((established, verdict))
}

fn hello(config: &EdgeConfig, instance_id: &[u8]) -> Hello {
    Hello {
        instance_id: instance_id.to_vec(),
        endpoints: vec![Endpoint {
            id: ENDPOINT,
            client_id: config.client_id.to_string(),
            scheme: config.backend.scheme().to_owned(),
            authority: config.backend.authority().to_owned(),
            ..Endpoint::default()
        }],
        ..Hello::default()
    }
}

/// The server's word on our endpoint. A welcome without it, or with a no, is a refusal.
fn our_verdict(welcome: Welcome) -> Result<Verdict, HandshakeError> {
    let verdict = welcome
        .verdicts
        .into_iter()
        .find(|verdict| verdict.endpoint_id == ENDPOINT)
        .ok_or(HandshakeError::Unexpected)?;
    if verdict.code() == Code::Ok {
        return Ok(verdict);
    }
    Err(HandshakeError::Refused(Box::new(Refused {
        code: verdict.code,
        text: verdict.text,
        retry_after: verdict.retry_after,
    })))
}
