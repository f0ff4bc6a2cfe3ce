//! The way to a server: what listens there, if anything, and a channel for calls.

use std::error::Error;
use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use grpc_multiplexer_process::server_name;
use grpc_multiplexer_tunnel::{BoxedIo, ClientId, Speaks};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsConnector, rustls};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tower::service_fn;

use super::place::{Place, Token};
use super::status::Trouble;
use crate::CLIENT_ID_METADATA_KEY;

/// How long the other end may take for each thing that is asked of it.
pub(super) const LIMIT: Duration = Duration::from_secs(10);
/// A silent server is asked for a sign of life this often.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// HTTP/2's preface, and SETTINGS with nothing in them.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// A yamux ping. A multiplexer port answers it, or sends one of its own; nothing else does.
const PING: [u8; 12] = *b"\0\x02\0\x01\0\0\0\0ping";

/// Calls to a server.
pub(super) type Calls = InterceptedService<Channel, Shown>;

/// What each call carries.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    id: Option<MetadataValue<Ascii>>,
    token: Option<Token>,
}

impl Interceptor for Shown {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let metadata = request.metadata_mut();
        if let Some(id) = &self.id {
            metadata.insert(CLIENT_ID_METADATA_KEY, id.clone());
        }
        if let Some((name, token)) = &self.token {
            metadata.insert(name.clone(), token.clone());
        }
        Ok(request)
    }
}

/// Sees that a server may be there.
pub(super) async fn reach(place: &Place) -> Result<(), Trouble> {
    dial(place).await?;
    greet(place).await
}

/// Calls to the server itself, or to an edge of it. They connect with the first one.
pub(super) fn calls(place: &Arc<Place>, id: Option<&ClientId>) -> Calls {
    let id = id.map(|id| id.as_str().parse().expect("an id is printable ASCII"));
    let token = place.token.clone();
    InterceptedService::new(channel(place), Shown { id, token })
}

fn channel(place: &Arc<Place>) -> Channel {
    let scheme = if place.tls.is_some() { "https" } else { "http" };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{place}"))
        .expect("a host and a port make a URI")
        .connect_timeout(LIMIT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(LIMIT)
        .keep_alive_while_idle(true);
    let place = Arc::clone(place);
    endpoint.connect_with_connector_lazy(service_fn(move |_| {
        let place = Arc::clone(&place);
        async move {
            let connected = connect(&place).await;
            connected.map(TokioIo::new).map_err(io::Error::other)
        }
    }))
}

/// Sees that something listens.
pub(super) async fn dial(place: &Place) -> Result<TcpStream, Trouble> {
    let address = &place.address;
    let (flag, listener) = (place.kind.address, place.kind.listener);
    let dialled = timeout(LIMIT, TcpStream::connect((address.host(), address.port()))).await;
    let failed = |why: &dyn Display, advice| {
        Trouble::new(format!("cannot connect to {address} ({why})"), advice)
    };
    match dialled {
        Ok(Ok(socket)) => {
            // Where that fails it is slower.
            let _ = socket.set_nodelay(true);
            Ok(socket)
        }
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Err(Trouble::new(
            format!("nothing listens on {address}"),
            format!(
                "start grpc-multiplexer-server with {listener}, or give its address as --{flag}"
            ),
        )),
        Ok(Err(error)) => Err(failed(&error, format!("is it the right --{flag}?"))),
        Err(_) => Err(failed(
            &format_args!("no answer within {LIMIT:?}"),
            format!("is it the right --{flag}, and does a firewall let it through?"),
        )),
    }
}

/// A connection, with TLS where that is to be.
async fn connect(place: &Place) -> Result<BoxedIo, Trouble> {
    let socket = dial(place).await?;
    let Some(tls) = &place.tls else {
        return Ok(Box::new(socket));
    };
    let name = server_name(place.address.host()).ok_or_else(|| {
        Trouble::new(
            format!("no certificate can be for the host in {place}"),
            "give the name that the server's certificate is for",
        )
    })?;
    let connect = TlsConnector::from(Arc::clone(tls)).connect(name, socket);
    let connected = timeout(LIMIT, connect)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let stream = connected.map_err(|error| {
        let flag = place.kind.flag_of_ca();
        // A certificate that came was sent by TLS.
        let question = if is_of_certificate(&error) {
            "is"
        } else {
            "does it speak TLS, and is"
        };
        Trouble::new(
            format!("no TLS with {place} ({})", root(&error)),
            format!("{question} its certificate for that host and of an authority in {flag}?"),
        )
    })?;
    Ok(Box::new(stream))
}

/// Whether it is about the certificate that the other end showed.
fn is_of_certificate(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref());
    matches!(error, Some(rustls::Error::InvalidCertificate(_)))
}

/// Sees that HTTP/2 is spoken.
pub(super) async fn greet(place: &Place) -> Result<(), Trouble> {
    let (answer, broken) = exchange(place, HTTP2).await?;
    let listener = place.kind.listener;
    let right_address = format!(
        "give the address of the server's {listener} as --{}",
        place.kind.address
    );
    let ca = place.kind.flag_of_ca();
    let right_port = || format!("is it the right port, that of the server's {listener}?");
    let (speaks, advice) = match Speaks::of_server(&answer) {
        Some(Speaks::Http2) => return Ok(()),
        Some(Speaks::Http1) => (
            "it speaks HTTP/1",
            "that is no gRPC server: is it the right port?".to_owned(),
        ),
        Some(Speaks::Tls) => (
            "it speaks TLS",
            format!("give {ca} with the file of its authority, or with `system`"),
        ),
        _ if let Some(why) = broken.filter(|_| place.tls.is_some()) => {
            return Err(refused(place, &why));
        }
        _ if is_multiplexer(place).await => ("it is where edges dial in", right_address),
        _ if answer.is_empty() => (
            "it says nothing",
            match place.tls {
                Some(_) => right_port(),
                None => format!("{} Where it speaks TLS, give {ca}", right_port()),
            },
        ),
        _ => ("it speaks something else", right_port()),
    };
    let what = format!("what listens on {place} does not speak HTTP/2: {speaks}");
    Err(Trouble::new(what, advice))
}

/// With TLS 1.3 a server says no to a certificate when the handshake seems over.
fn refused(place: &Place, why: &io::Error) -> Trouble {
    let flag = place.kind.flag_of_certificate();
    Trouble::new(
        format!("{place} ends the connection ({})", root(why)),
        format!("it may ask for a certificate, or not accept the one in {flag}: its log says so"),
    )
}

/// Whether edges dial in there, and calls are not answered.
async fn is_multiplexer(place: &Place) -> bool {
    let answer = exchange(place, &PING).await;
    answer.is_ok_and(|(answer, _)| matches!(answer[..], [0, 2, 0, 1 | 2, 0, 0, 0, 0, ..]))
}

/// Says `words` on a connection of their own. The first few bytes of the answer, or none, and what ended it, if
/// something did.
async fn exchange(place: &Place, words: &[u8]) -> Result<(Vec<u8>, Option<io::Error>), Trouble> {
    let mut io = connect(place).await?;
    let mut answer = Vec::new();
    let talk = async {
        io.write_all(words).await?;
        io.flush().await?;
        io.take(PING.len() as u64).read_to_end(&mut answer).await
    };
    // A connection that falls silent has said what it has said.
    let broken = match timeout(LIMIT, talk).await {
        Ok(Err(error)) => Some(error),
        Ok(Ok(_)) | Err(_) => None,
    };
    Ok((answer, broken))
}

/// What is behind all of it.
fn root(error: &dyn Error) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
}
