//! TLS on every way: who is let in, who is not, and what each side is told.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

mod admin;
mod age;
mod backend;
mod certificate_ids;
mod cli;
mod distrust;
mod enrolment;
mod exposure;
mod keys;
mod learnt;
mod lists;
mod made;
mod operator;
mod page;
mod proxy;
mod reload;
mod revocation;
mod rights;
mod servers;
mod serves;
mod tokens;
mod tunnel;

use std::net::SocketAddr;
use std::process::Output;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use grpc_multiplexer_tests::{Authority, Edge, Folder, Leaf, Mux, command, output, pong, within};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls::version::TLS12;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where no backend is.
const NOWHERE: &str = "127.0.0.1:1";
/// What a tunnel is called.
const TUNNEL: &str = "grpc-multiplexer/1";

/// Files of a test, and who signs what.
struct Pki {
    folder: Folder,
    authority: Authority,
    /// The authority's certificate.
    ca: String,
}

impl Pki {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let authority = Authority::new(name);
        let ca = folder.put("ca.pem", authority.pem());
        Self {
            folder,
            authority,
            ca,
        }
    }

    /// The options that make a listener speak TLS, with a certificate for `127.0.0.1`.
    fn listener(&self, listener: &str) -> Vec<String> {
        self.shows(listener, &self.authority.signs("127.0.0.1"))
    }

    /// The same with any certificate.
    fn shows(&self, whose: &str, leaf: &Leaf) -> Vec<String> {
        let [certificate, key] = leaf.put(&self.folder, whose);
        vec![
            format!("--{whose}-tls-certificate={certificate}"),
            format!("--{whose}-tls-key={key}"),
        ]
    }

    /// The options of a listener that asks for certificates, too.
    fn mutual(&self, listener: &str) -> Vec<String> {
        self.asks(listener, &self.authority.signs("127.0.0.1"))
    }

    /// The same with any certificate.
    fn asks(&self, listener: &str, leaf: &Leaf) -> Vec<String> {
        let mut options = self.shows(listener, leaf);
        options.push(format!("--{listener}-tls-client-ca={}", self.ca));
        options
    }

    /// The option that makes an edge trust the authority.
    fn trust(&self) -> Vec<String> {
        vec![format!("--multiplexer-tls-ca={}", self.ca)]
    }

    /// The same for an edge with a certificate of its own, in files of that name.
    fn edge(&self, leaf: &Leaf, name: &str) -> Vec<String> {
        let [certificate, key] = leaf.put(&self.folder, name);
        let mut options = self.trust();
        options.push(format!("--multiplexer-tls-certificate={certificate}"));
        options.push(format!("--multiplexer-tls-key={key}"));
        options
    }
}

/// A server with options that were made up.
async fn server(options: &[String]) -> Mux {
    Mux::with(&borrowed(options)).await
}

/// An edge `rainbow` of it.
fn edge(mux: &Mux, backend: &str, options: &[String]) -> Edge {
    Edge::dialling(mux.multiplexer, "rainbow", backend, &borrowed(options))
}

/// What a subcommand of the edge's program says, and how it ends.
async fn answered(args: &[&str]) -> (Option<i32>, String) {
    let mut command = command("grpc-multiplexer-client");
    command.args(args);
    let run = tokio::task::spawn_blocking(move || output(&mut command));
    let Output {
        status,
        stdout,
        stderr,
    } = run.await.unwrap();
    let said = String::from_utf8([stdout, stderr].concat()).unwrap();
    (status.code(), said)
}

fn borrowed(options: &[String]) -> Vec<&str> {
    options.iter().map(String::as_str).collect()
}

/// A TLS connection that is to be to `127.0.0.1`.
async fn connect(address: SocketAddr, tls: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let connect = TlsConnector::from(Arc::new(tls)).connect(name, socket);
    within("a TLS handshake", connect).await
}

/// What `get` makes of a certificate that ends soon, and that end. Where it was over too soon for it, there is another.
async fn ending<T>(
    authority: &Authority,
    name: &str,
    get: impl AsyncFn(&Leaf) -> Option<T>,
) -> (T, SystemTime) {
    for seconds in [2, 4, 8, 16] {
        let end = SystemTime::now() + Duration::from_secs(seconds);
        if let Some(got) = get(&authority.signs_until(name, end)).await {
            return (got, end);
        }
    }
    panic!("nothing is that slow");
}

/// How the other side ends it: nothing, or its alert.
async fn ends(mut stream: TlsStream<TcpStream>) -> Option<rustls::AlertDescription> {
    let mut rest = Vec::new();
    match within("its end", stream.read_to_end(&mut rest)).await {
        Ok(_) => None,
        Err(error) => alert(&error),
    }
}

/// The alert in an error.
fn alert(error: &std::io::Error) -> Option<rustls::AlertDescription> {
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

/// Who speaks TLS 1.2 at most.
fn older(pki: &Pki, protocol: &str) -> ClientConfig {
    pki.authority.client_of(&[&TLS12], None, &[protocol])
}
