//! Proofs that are of another key, nonce or connection than they are shown for.

use std::sync::Arc;

use grpc_multiplexer_process::{SshPrivateKey, channel_binding};
use grpc_multiplexer_tests::{Edge, KeyFiles, Mux, auth, hello, within};
use grpc_multiplexer_tunnel::message::{Code, Hello, Refused};
use grpc_multiplexer_tunnel::{
    Accepted, Arrival, BoxedIo, Channel, HandshakeError, KEY_SCHEME, TunnelConfig, accept,
    dial_proving,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::task::block_in_place;
use tokio_rustls::TlsAcceptor;

use super::{FIRST, SECOND, has, takes};
use crate::tunnel::is_refused;
use crate::{NOWHERE, Pki, TUNNEL, borrowed, connect, server};

const UNPROVEN: &str = "the proof that the edge has its key is not one for this connection";

fn key(files: &KeyFiles) -> SshPrivateKey {
    files.private.parse().unwrap()
}

/// A hello for `rainbow` from who says that it has this key.
fn claims(scheme: &str, key: &[u8]) -> Hello {
    Hello {
        auth: Some(auth(scheme, key)),
        ..hello("rainbow")
    }
}

/// A way to a server, over TLS if `pki` is given.
async fn way(mux: &Mux, pki: Option<&Pki>) -> (BoxedIo, Channel) {
    let Some(pki) = pki else {
        let socket = TcpStream::connect(mux.multiplexer).await.unwrap();
        return (Box::new(socket), Channel::Plain);
    };
    let tls = pki.authority.client(None, &[TUNNEL]);
    let stream = connect(mux.multiplexer, tls).await.unwrap();
    let binding = channel_binding(stream.get_ref().1).unwrap();
    (Box::new(stream), Channel::Tls(binding))
}

/// What comes of a hello whose challenge is answered so. A tunnel that comes up is closed.
async fn says(
    io: BoxedIo,
    hello: Hello,
    prove: impl FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Result<(), Refused> {
    let config = TunnelConfig::default();
    match within("an answer", dial_proving(io, hello, prove, &config)).await {
        Ok(_) => Ok(()),
        Err(HandshakeError::Refused(refused)) => Err(*refused),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_proof_of_another_key_nonce_or_channel_is_none() {
    let pki = Pki::new("forged");
    let options = takes(&pki, &[(FIRST, "rainbow")]);
    let (first, second) = (key(FIRST), key(SECOND));
    let public = first.public().bytes();
    let plain = Mux::with(&[options.last().unwrap()]).await;
    for (mux, over) in [(&server(&options).await, Some(&pki)), (&plain, None)] {
        type Sign<'a> = &'a dyn Fn(&Channel, &[u8]) -> Vec<u8>;
        let forged: [(&str, Sign<'_>); 7] = [
            ("another key", &|channel, nonce| {
                second.sign(&channel.to_sign(nonce))
            }),
            ("another nonce", &|channel, _| {
                first.sign(&channel.to_sign(&[7; 32]))
            }),
            ("another channel", &|_, nonce| {
                first.sign(&Channel::Tls([7; 32]).to_sign(nonce))
            }),
            ("the other kind of channel", &|channel, nonce| {
                let other = match channel {
                    Channel::Plain => Channel::Tls([0; 32]),
                    Channel::Tls(_) => Channel::Plain,
                };
                first.sign(&other.to_sign(nonce))
            }),
            ("the bare nonce", &|_, nonce| first.sign(nonce)),
            ("nothing", &|_, _| Vec::new()),
            ("the nonce itself", &|_, nonce| nonce.to_vec()),
        ];
        for (what, sign) in forged {
            let (io, channel) = way(mux, over).await;
            let hello = claims(KEY_SCHEME, public);
            let refused = says(io, hello, |nonce| Some(sign(&channel, nonce))).await;
            let refused = refused.expect_err(what);
            assert_eq!(refused.code(), Code::Unauthenticated, "{what}");
            assert!(refused.text.contains(UNPROVEN), "{what}: {}", refused.text);
        }
        let (io, channel) = way(mux, over).await;
        let right = |nonce: &[u8]| Some(first.sign(&channel.to_sign(nonce)));
        assert_eq!(says(io, claims(KEY_SCHEME, public), right).await, Ok(()));
    }
}

/// Keys are public: who has somebody's cannot see whether the server knows it.
#[tokio::test]
async fn who_cannot_prove_a_key_is_told_nothing_of_it() {
    let pki = Pki::new("probed");
    let options = takes(&pki, &[(FIRST, "kitchen")]);
    let mux = server(&options).await;
    let mut answers = Vec::new();
    // One that is known, and may not have the id; one that is not; one that is no point of the curve.
    for public in [
        *key(FIRST).public().bytes(),
        *key(SECOND).public().bytes(),
        [2; 32],
    ] {
        let (io, _) = way(&mux, Some(&pki)).await;
        let mut challenges = 0;
        let refused = says(io, claims(KEY_SCHEME, &public), |nonce| {
            challenges += 1;
            assert_eq!(nonce.len(), 32);
            Some(vec![0; 64])
        });
        answers.push(refused.await.unwrap_err());
        assert_eq!(challenges, 1);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
    // Nor is there a key that needs no proof.
    for (scheme, public, code) in [
        (KEY_SCHEME, &[][..], Code::Malformed),
        (KEY_SCHEME, &[0; 31], Code::Malformed),
        ("ed25519-v2", &[0; 32], Code::Unsupported),
    ] {
        let (io, _) = way(&mux, Some(&pki)).await;
        let refused = says(io, claims(scheme, public), |_| {
            panic!("no challenge is due")
        });
        assert_eq!(refused.await.unwrap_err().code(), code);
    }
}

/// Where an edge dials that takes this listener for the server's; over TLS if `pki` is given.
async fn lured(listener: &TcpListener, pki: Option<&Pki>) -> Accepted {
    let config = TunnelConfig::default();
    let (socket, _) = within("an edge", listener.accept()).await.unwrap();
    let io: BoxedIo = match pki {
        None => Box::new(socket),
        Some(pki) => {
            let tls = pki.authority.signs("127.0.0.1").server(None, &[TUNNEL]);
            let accept = TlsAcceptor::from(Arc::new(tls)).accept(socket);
            Box::new(within("TLS", accept).await.unwrap())
        }
    };
    match within("a hello", accept(io, &config)).await.unwrap() {
        Arrival::Hello(accepted) => accepted,
        Arrival::Legacy(edge) => panic!("{edge:?}"),
    }
}

/// Somebody with a certificate that the edge trusts says to the server what the edge says, and to the edge what the server
/// asks. Only where both sides are in plain text is there nothing to tell.
#[tokio::test(flavor = "multi_thread")]
async fn a_proof_that_is_passed_on_is_none() {
    let pki = Pki::new("relayed");
    let options = takes(&pki, &[(FIRST, "rainbow")]);
    let (tls, key) = (Some(&pki), has(&pki, "key", FIRST));
    for (to_the_edge, to_the_server) in [(tls, tls), (None, tls), (tls, None), (None, None)] {
        let options = match to_the_server {
            Some(_) => borrowed(&options),
            None => vec![options.last().unwrap().as_str()],
        };
        let mux = Mux::with(&options).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let options = match to_the_edge {
            Some(_) => borrowed(&key),
            None => vec![key.last().unwrap().as_str()],
        };
        let address = listener.local_addr().unwrap();
        let edge = Edge::dialling(address, "rainbow", NOWHERE, &options);
        let mut lured = lured(&listener, to_the_edge).await;
        let hello = lured.hello().clone();
        let (io, _) = way(&mux, to_the_server).await;
        let passed_on = says(io, hello, |nonce| {
            let proof = async { lured.challenge(nonce).await.unwrap() };
            Some(block_in_place(|| Handle::current().block_on(proof)))
        })
        .await;
        match passed_on {
            Ok(()) => assert!(to_the_edge.is_none() && to_the_server.is_none()),
            Err(refused) => {
                assert!(to_the_edge.is_some() || to_the_server.is_some());
                assert_eq!(refused.code(), Code::Unauthenticated);
                assert!(refused.text.contains(UNPROVEN), "{}", refused.text);
                lured.refuse(refused).await.unwrap();
                is_refused(&edge, UNPROVEN).await;
                mux.says(UNPROVEN).await;
            }
        }
    }
}
