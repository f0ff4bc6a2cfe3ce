//! One attempt to get a tunnel: TCP, TLS where the edge is to speak it, then hello, or the original's line.

use std::io;
use std::time::Duration;

use grpc_multiplexer_process::{HostPort, Shown, SshKeyFileError};
use grpc_multiplexer_tunnel::message::{Code, Endpoint, Hello, Refused, Verdict};
use grpc_multiplexer_tunnel::{
    BARE_ENDPOINT, Established, HandshakeError, Labels, Speaks, TunnelConfig, dial_legacy,
    dial_proving,
};
use rustls::pki_types::CertificateDer;
use tokio::time::{Instant, timeout};
use tracing::info;

use crate::credential::Credential;
use crate::server_tls::{Alert, Link, ServerTlsError};
use crate::{Edge, ServerTls, TunnelProtocol};

/// How long a server may take to take the TCP connection: as gRPC's minimum connect timeout.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a server that may be of the original's gets for its answer to a hello.
const AUTO_HELLO_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a server stays known as one of the original's.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// The only endpoint of an edge.
pub(crate) const ENDPOINT: u32 = BARE_ENDPOINT;

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttemptError {
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    #[error("no connection within {CONNECT_TIMEOUT:?}")]
    ConnectTimeout,
    #[error("{}", not_a_multiplexer(*.0))]
    Foreign(Speaks),
    #[error(transparent)]
    Tls(#[from] ServerTlsError),
    #[error("the token is shown over TLS, or to a server on this machine, and not in plain text")]
    PlainToken,
    #[error(transparent)]
    Key(#[from] SshKeyFileError),
    #[error(
        "the server hung up after the client id: another edge may have it, or this one may not"
    )]
    HungUp,
    #[error(
        "the server is of the original's, which takes one tunnel of an edge: `tunnels` has no effect with it"
    )]
    OneTunnel,
    #[error(
        "the server is older than labels, and takes no edge that has any: update it, or leave out `labels`"
    )]
    NoLabels(#[source] HandshakeError),
    #[error(
        "the server does not answer the hello; if it is of the original's, it takes no edge that has TLS, a token, a key or \
         labels: update it, or leave them out"
    )]
    Beyond(#[source] HandshakeError),
    #[error(transparent)]
    Handshake(HandshakeError),
    #[error("no answer to a hello ({hello}), and none to the original's introduction")]
    Neither {
        hello: HandshakeError,
        #[source]
        legacy: Box<Self>,
    },
}

impl From<HandshakeError> for AttemptError {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::Foreign(speaks) => Self::Foreign(speaks),
            error => Self::Handshake(error),
        }
    }
}

/// What the address may be instead, and what would be right.
fn not_a_multiplexer(speaks: Speaks) -> &'static str {
    match speaks {
        Speaks::Http1 => {
            "the address answers with HTTP/1: it is a web server's, or a proxy's in between; \
             an edge dials the server's multiplexer listener"
        }
        Speaks::Http2 => {
            "the address answers with HTTP/2: it is a gRPC server's, or a server's proxy listener, where callers call; \
             an edge dials the multiplexer listener"
        }
        Speaks::Tls => {
            "the address answers with TLS; if it is the server's multiplexer listener, give this edge \
             --multiplexer-tls-ca with the file of the authority that signed its certificate, or with `system`"
        }
        _ => {
            "the address answers with another protocol; an edge dials the server's multiplexer listener"
        }
    }
}

impl AttemptError {
    /// Whether trying again soon can help.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Handshake(error) => error.is_transient(),
            // Whoever answers there now is somebody else.
            Self::Foreign(_) => false,
            Self::Tls(error) => error.is_transient(),
            Self::PlainToken | Self::Key(_) | Self::NoLabels(_) => false,
            Self::Connect(_) | Self::ConnectTimeout | Self::HungUp | Self::Neither { .. } => true,
            Self::OneTunnel | Self::Beyond(_) => true,
        }
    }

    /// How long the server asked to wait.
    pub(crate) fn retry_after(&self) -> Option<prost_types::Duration> {
        match self {
            Self::Handshake(HandshakeError::Refused(refused)) => refused.retry_after,
            Self::OneTunnel => prost_types::Duration::try_from(ASK_AGAIN).ok(),
            _ => None,
        }
    }

    /// Whether the server takes this edge for another than that of its name.
    pub(crate) fn is_duplicate(&self) -> bool {
        match self {
            Self::Handshake(HandshakeError::Refused(refused)) => {
                refused.code() == Code::DuplicateClientId
            }
            Self::HungUp => true,
            Self::Neither { legacy, .. } => legacy.is_duplicate(),
            _ => false,
        }
    }
}

/// A tunnel that is up, and what is known of its other end.
pub(crate) struct Tunnel {
    pub(crate) established: Established,
    /// Which registration of the client id this is, where the server says so.
    pub(crate) generation: Option<u64>,
    pub(crate) proof: Proof,
    /// What the server was told.
    pub(crate) labels: Labels,
    /// What it was shown.
    pub(crate) credential: Option<Credential>,
    /// The same of certificates.
    pub(crate) certificate: Vec<CertificateDer<'static>>,
    /// What it showed.
    pub(crate) showed: Shown,
}

/// What proves to the server process of that id that later tunnels are of the same instance. Empty where it gives none.
/// Secret.
#[derive(Default)]
pub(crate) struct Proof {
    pub(crate) server_id: String,
    pub(crate) token: Vec<u8>,
}

/// Which tunnel of which instance this is to be. Secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Introduction {
    pub(crate) instance_id: Vec<u8>,
    /// What the server gave with an earlier tunnel.
    pub(crate) resume_token: Vec<u8>,
    pub(crate) slot: u32,
}

/// What a server turned out to be. A hello leaves a name that nobody chose with a server of the original's, so such a
/// server is not asked again with every try; a server that answers hellos is never taken for the original's.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Known {
    #[default]
    Nothing,
    AnswersHello,
    Original {
        since: Instant,
    },
}

/// Dials `server` and registers, in the way that the edge's configuration and what is `known` of the server ask for.
pub(crate) async fn attempt(
    server: &HostPort,
    edge: &Edge,
    introduction: &Introduction,
    known: &mut Known,
) -> Result<Tunnel, AttemptError> {
    if edge.backend.is_in_process() {
        return with_hello(server, edge, &edge.tunnel, introduction).await;
    }
    match (edge.tunnel_protocol, &*known) {
        (TunnelProtocol::V1, _) | (TunnelProtocol::Auto, Known::AnswersHello) => {
            with_hello(server, edge, &edge.tunnel, introduction).await
        }
        // Nothing that the server does with the hello makes the edge say less than it was told to, or say it in plain text.
        (TunnelProtocol::Auto, _) if is_beyond_the_original(edge) => {
            let dialled = with_hello(server, edge, &edge.tunnel, introduction).await;
            dialled.map_err(|error| match error {
                AttemptError::Handshake(
                    error @ (HandshakeError::Timeout(_)
                    | HandshakeError::Lost(_)
                    | HandshakeError::Malformed(_)),
                ) => AttemptError::Beyond(error),
                error => error,
            })
        }
        (TunnelProtocol::Legacy, _) => with_line(server, edge, introduction).await,
        (TunnelProtocol::Auto, Known::Original { since }) if since.elapsed() < ASK_AGAIN => {
            with_line(server, edge, introduction).await
        }
        (TunnelProtocol::Auto, _) => find_out(server, edge, introduction, known).await,
    }
}

/// Whether an edge has what the original's server knows nothing of.
fn is_beyond_the_original(edge: &Edge) -> bool {
    edge.now(|edge| edge.tls.is_some() || edge.credential.is_some() || !edge.labels.is_empty())
}

/// Says hello, and with no answer the original's line.
async fn find_out(
    server: &HostPort,
    edge: &Edge,
    introduction: &Introduction,
    known: &mut Known,
) -> Result<Tunnel, AttemptError> {
    let hurried = TunnelConfig {
        hello_timeout: AUTO_HELLO_TIMEOUT,
        ..edge.tunnel.clone()
    };
    let original = Known::Original {
        since: Instant::now(),
    };
    let hello = match with_hello(server, edge, &hurried, introduction).await {
        Ok(tunnel) => {
            *known = Known::AnswersHello;
            return Ok(tunnel);
        }
        // It took the stream, and waits for the end of a line, or has another edge of the name that it found in the hello,
        // and hangs up.
        Err(AttemptError::Handshake(
            error @ (HandshakeError::Timeout(_) | HandshakeError::Lost(_)),
        )) => error,
        // It found the end of a line in the hello, and speaks yamux within yamux.
        Err(AttemptError::Handshake(error @ HandshakeError::Malformed(_))) => {
            *known = original;
            error
        }
        Err(error) => {
            if let AttemptError::Handshake(HandshakeError::Refused(_)) = error {
                *known = Known::AnswersHello;
            }
            return Err(error);
        }
    };
    info!(%server, error = %hello, "no answer to a hello, trying the original's wire");
    match with_line(server, edge, introduction).await {
        Ok(tunnel) => {
            *known = original;
            Ok(tunnel)
        }
        Err(AttemptError::OneTunnel) => {
            *known = original;
            Err(AttemptError::OneTunnel)
        }
        Err(legacy) => Err(AttemptError::Neither {
            hello,
            legacy: Box::new(legacy),
        }),
    }
}

async fn with_hello(
    server: &HostPort,
    edge: &Edge,
    tunnel: &TunnelConfig,
    introduction: &Introduction,
) -> Result<Tunnel, AttemptError> {
    // Of one moment, so that no token goes out without the TLS that it was given with.
    let (labels, credential, tls) = edge.now(|now| {
        let credential = edge.credential_by(now);
        (now.labels.clone(), credential, now.tls.clone())
    });
    let shown = credential.as_ref();
    if shown.is_some_and(Credential::is_secret) && tls.is_none() && !server.is_of_this_machine() {
        return Err(AttemptError::PlainToken);
    }
    if let Some(credential) = shown {
        credential.ready().await?;
        edge.keep(credential);
    }
    let certificate = certificate(tls.as_ref());
    let link = connect(server, edge, tls).await?;
    let Link {
        io,
        alert,
        channel,
        showed,
    } = link;
    let hello = Hello {
        auth: shown.and_then(Credential::auth),
        ..hello(edge, &labels, introduction)
    };
    let prove = |nonce: &[u8]| shown?.sign(&channel.to_sign(nonce));
    let dialled = dial_proving(io, hello, prove, tunnel).await;
    let dialled = dialled.map_err(|error| match error {
        HandshakeError::Refused(refused) if is_of_labels(&refused, &labels) => {
            AttemptError::NoLabels(HandshakeError::Refused(refused))
        }
        error => why(&alert, error),
    });
    let (established, welcome) = dialled?;
    let proof = Proof {
        server_id: welcome.server_id,
        token: welcome.resume_token,
    };
    let verdict = our_verdict(welcome.verdicts)?;
    Ok(Tunnel {
        established,
        generation: Some(verdict.generation),
        proof,
        labels,
        credential,
        certificate,
        showed,
    })
}

async fn with_line(
    server: &HostPort,
    edge: &Edge,
    introduction: &Introduction,
) -> Result<Tunnel, AttemptError> {
    if introduction.slot > 0 {
        return Err(AttemptError::OneTunnel);
    }
    let tls = edge.server_tls();
    let certificate = certificate(tls.as_ref());
    let link = connect(server, edge, tls).await?;
    let Link {
        io, alert, showed, ..
    } = link;
    let dialled = dial_legacy(io, &edge.client_id, &edge.tunnel).await;
    let established = dialled.map_err(|error| match why(&alert, error) {
        AttemptError::Handshake(HandshakeError::Lost(_)) => AttemptError::HungUp,
        error => error,
    })?;
    Ok(Tunnel {
        established,
        generation: None,
        proof: Proof::default(),
        labels: edge.labels(),
        // It would have shown no other.
        credential: edge.credential(),
        certificate,
        showed,
    })
}

/// The certificate that a server is shown.
fn certificate(tls: Option<&ServerTls>) -> Vec<CertificateDer<'static>> {
    tls.map(ServerTls::certificate).unwrap_or_default()
}

/// Why there is no tunnel: what the server said in the language of TLS, if it did.
fn why(alert: &Alert, error: HandshakeError) -> AttemptError {
    alert
        .explain()
        .map_or_else(|| error.into(), AttemptError::Tls)
}

async fn connect(
    server: &HostPort,
    edge: &Edge,
    tls: Option<ServerTls>,
) -> Result<Link, AttemptError> {
    let silence = edge.tunnel.heartbeat.dead_after;
    let connect = async {
        let io = edge.connector.connect(server, silence).await;
        let io = io.map_err(AttemptError::Connect)?;
        match tls {
            Some(tls) => Ok(tls.secure(server, io).await?),
            None => Ok(Link::plain(io)),
        }
    };
    // Boxed: over soon, and large.
    timeout(CONNECT_TIMEOUT, Box::pin(connect))
        .await
        .unwrap_or(Err(AttemptError::ConnectTimeout))
}

/// Whether a server refuses labels as something that it does not know.
fn is_of_labels(refused: &Refused, labels: &Labels) -> bool {
    refused.code() == Code::Unsupported && refused.text.contains("labels") && !labels.is_empty()
}

fn hello(edge: &Edge, labels: &Labels, introduction: &Introduction) -> Hello {
    Hello {
        instance_id: introduction.instance_id.clone(),
        resume_token: introduction.resume_token.clone(),
        tunnel_slot: introduction.slot,
        endpoints: vec![Endpoint {
            id: ENDPOINT,
            client_id: edge.client_id.to_string(),
            scheme: edge.backend.scheme().to_owned(),
            authority: edge.backend.authority().to_owned(),
            labels: labels.to_map(),
            ..Endpoint::default()
        }],
        ..Hello::default()
    }
}

/// The server's word on our endpoint. A welcome without it, or with a no, is a refusal.
fn our_verdict(verdicts: Vec<Verdict>) -> Result<Verdict, HandshakeError> {
    let verdict = verdicts
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
