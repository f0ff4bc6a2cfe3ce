//! Hellos without an edge behind them.

use std::net::Ipv4Addr;

use grpc_multiplexer_proto::admin::v1::KickRequest;
use grpc_multiplexer_tunnel::message::{Auth, Endpoint, Hello, Refused};
use grpc_multiplexer_tunnel::{HandshakeError, TunnelConfig, dial_proving};
use tokio::net::TcpSocket;

use crate::{Edge, Mux, within};

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
    says_hello_from(Ipv4Addr::LOCALHOST, mux, auth, |_| None).await
}

/// The same from an IPv4 address of this machine, with what is said to a challenge, given its nonce.
///
/// # Errors
///
/// The server's no.
///
/// # Panics
///
/// When nothing comes of it.
pub async fn says_hello_from(
    from: Ipv4Addr,
    mux: &Mux,
    auth: Option<Auth>,
    prove: impl FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Result<(), Refused> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let socket = socket.connect(mux.multiplexer).await.unwrap();
    let hello = Hello {
        auth,
        ..hello("rainbow")
    };
    let config = TunnelConfig::default();
    let dialled = dial_proving(Box::new(socket), hello, prove, &config);
    match within("an answer to a hello", dialled).await {
        Ok(_) => Ok(()),
        Err(HandshakeError::Refused(refused)) => Err(*refused),
        Err(error) => panic!("{error}"),
    }
}

/// What comes of asking a server with an operator listener while nobody has the id `rainbow`, while `edge` has it, once that
/// left, and while an operator keeps the id out.
///
/// # Panics
///
/// When one of these does not come about.
pub async fn whatever_becomes_of_rainbow<T>(
    mux: &Mux,
    edge: impl FnOnce() -> Edge,
    ask: impl AsyncFn() -> T,
) -> [T; 4] {
    let free = ask().await;
    let mut edge = edge();
    edge.says(" connected ").await;
    let taken = ask().await;
    edge.never_said("tunnel lost");
    edge.kill().await;
    mux.says("edge disconnected").await;
    let away = ask().await;
    let ban = KickRequest {
        client_id: "rainbow".to_owned(),
        reason: "under repair".to_owned(),
        ban: Some(prost_types::Duration {
            seconds: 3600,
            nanos: 0,
        }),
    };
    mux.operator().await.kick(ban).await.unwrap();
    [free, taken, away, ask().await]
}
