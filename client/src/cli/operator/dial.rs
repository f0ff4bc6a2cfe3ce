//! The way to an operator listener, which may speak TLS.

use std::error::Error;
use std::future::ready;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use grpc_multiplexer_process::{DialTerms, HostPort, OptionSpec, Program, Reader, server_name};
use grpc_multiplexer_tunnel::BoxedIo;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use super::super::channel::LIMIT;
use super::super::status::Trouble;

/// The files of TLS, as options of an edge are.
pub(in crate::cli) const TLS_OPTIONS: &[OptionSpec] = &[
    DialTerms::ca(
        TERMS.ca,
        "PEM file of the authorities that the server's certificate is checked against, or system for those that the \
         system trusts. With this or the next two, TLS is spoken",
    ),
    DialTerms::certificate(
        TERMS.certificate,
        "PEM file of the certificate to show to a server that asks for one",
    ),
    DialTerms::key(TERMS.key),
];

const TERMS: DialTerms = DialTerms {
    ca: "operator-tls-ca",
    certificate: "operator-tls-certificate",
    key: "operator-tls-key",
    protocol: "h2",
    tls12: true,
};

/// The options alone, to be read as an edge's are.
const FILES: Program = Program {
    options: TLS_OPTIONS,
    ..crate::PROGRAM
};

/// Where a server takes operators.
#[derive(Debug)]
pub(in crate::cli) struct At {
    pub(super) address: HostPort,
    tls: Option<Arc<ClientConfig>>,
}

impl At {
    /// That address, with what `value` says of the files.
    ///
    /// # Errors
    ///
    /// Every mistake in them.
    pub(in crate::cli) fn read(
        address: HostPort,
        value: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let given = TLS_OPTIONS.iter().filter_map(|option| {
            let value = value(option.path)?;
            Some(format!("{}={value}", option.flag()).into())
        });
        let args: Vec<_> = std::iter::once(FILES.name.into()).chain(given).collect();
        let speaks_tls = args.len() > 1;
        let leaves = FILES.leaves(args).map_err(|error| error.to_string())?;
        let mut reader = Reader::new(&leaves);
        let tls = speaks_tls.then(|| TERMS.read(&mut reader)).flatten();
        let read = reader.finish(|| Some(Self { address, tls }));
        read.map_err(|mistakes| mistakes.to_string())
    }
}

/// A channel over a connection that is there.
pub(super) async fn dial(at: &At) -> Result<Channel, Trouble> {
    let address = &at.address;
    let io = match timeout(LIMIT, connect(at)).await {
        Ok(connected) => connected?,
        Err(_) => return Err(unreachable(at, &format_args!("no answer within {LIMIT:?}"))),
    };
    let io = Mutex::new(Some(TokioIo::new(io)));
    let once = service_fn(move |_| {
        let io = io.lock().unwrap_or_else(PoisonError::into_inner).take();
        ready(io.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)))
    });
    let endpoint = Endpoint::from_shared(format!("http://{address}"));
    let endpoint = endpoint.expect("a host and a port make a URI");
    let connected = endpoint.connect_with_connector(once).await;
    connected.map_err(|error| broken(at, &error))
}

async fn connect(at: &At) -> Result<BoxedIo, Trouble> {
    let address = &at.address;
    let socket = TcpStream::connect((address.host(), address.port())).await;
    let socket = socket.map_err(|error| unreachable(at, &error))?;
    let Some(tls) = &at.tls else {
        return Ok(Box::new(socket));
    };
    let name = server_name(address.host()).ok_or_else(|| {
        let text = format!("no certificate can be for the host in {address}");
        Trouble::new(text, "give the name that the server's certificate is for")
    })?;
    let connector = TlsConnector::from(Arc::clone(tls));
    let stream = connector.connect(name, socket).await;
    let stream = stream.map_err(|error| {
        let text = format!("no TLS with {address} ({})", root(&error));
        Trouble::new(
            text,
            "is its certificate for that host, and of an authority in --operator-tls-ca?",
        )
    })?;
    Ok(Box::new(stream))
}

fn unreachable(at: &At, why: &dyn std::fmt::Display) -> Trouble {
    Trouble::new(
        format!("cannot connect to {} ({why})", at.address),
        "start grpc-multiplexer-server with --operator-listener, and give its address as --operator-address",
    )
}

/// The connection is no good. With TLS 1.3 a server says no to a certificate when the handshake seems over.
pub(super) fn broken(at: &At, error: &dyn Error) -> Trouble {
    let advice = match at.tls {
        Some(_) => {
            "is it a server's --operator-listener, and does it accept --operator-tls-certificate? Its log says why not"
        }
        None => "is it a server's --operator-listener? Where it speaks TLS, give --operator-tls-ca",
    };
    let text = format!("{} does not answer ({})", at.address, root(error));
    Trouble::new(text, advice)
}

/// What is behind all of it.
fn root(error: &dyn Error) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
}
