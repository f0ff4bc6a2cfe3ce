//! Hellos without an edge behind them.

use grpc_multiplexer_tunnel::message::{Auth, Endpoint, Hello, Refused};
use grpc_multiplexer_tunnel::{HandshakeError, TunnelConfig, dial};
use tokio::net::TcpStream;

use crate::Mux;

/// The hello of an edge of that id.
#[must_use]
pub fn hello(client_id: &str) -> Hello {
    Hello {
        endpoints: vec![Endpoint {
            id: 1,
            client_id: client_id.to_owned(),
            scheme: "http".to_owned(),
            authority: "localhost".to_owned(),
            ..Endpoint::default()
        }],
        ..Hello::default()
    }
}

/// A credential.
#[must_use]
pub fn auth(scheme: &str, data: impl AsRef<[u8]>) -> Auth {
    Auth {
        scheme: scheme.to_owned(),
        data: data.as_ref().to_vec(),
        ..Auth::default()
    }
}

/// What comes of a hello for `rainbow` in plain text, with a credential or without. A tunnel that comes up is closed.
///
/// # Errors
///
/// The server's no.
///
/// # Panics
///
/// When nothing does.
pub async fn says_hello(mux: &Mux, auth: Option<Auth>) -> Result<(), Refused> {
    let socket = TcpStream::connect(mux.multiplexer).await.unwrap();
    let hello = Hello {
        auth,
        ..hello("rainbow")
    };
    match dial(Box::new(socket), hello, &TunnelConfig::default()).await {
        Ok(_) => Ok(()),
        Err(HandshakeError::Refused(refused)) => Err(*refused),
        Err(error) => panic!("{error}"),
    }
}
