//! Between callers and the server.

use std::time::SystemTime;

use grpc_multiplexer_tests::{Authority, Caller, DAY, Edge, Mux};
use rustls::{AlertDescription, ClientConfig};

use crate::{NOWHERE, Pki, alert, connect, ends, older, pong, server};

/// A server with an edge, and options of its proxy listener.
async fn path(options: &[String]) -> (Mux, Edge, grpc_multiplexer_tests::Backend) {
    let (backend, address) = pong().await;
    let mux = server(options).await;
    let edge = Edge::dialling(mux.multiplexer, "rainbow", &address, &[]);
    edge.says(" connected ").await;
    (mux, edge, backend)
}

async fn is_let_in(mux: &Mux, tls: ClientConfig) {
    let caller = Caller::secure(mux.proxy, tls).await.unwrap();
    let answer = caller.call("/s/m", &[("client-id", "rainbow")], b"").await;
    assert_eq!(answer.body, b"pong", "{answer:?}");
}

#[tokio::test]
async fn callers_call_over_tls_of_both_versions() {
    let pki = Pki::new("callers");
    let (mux, _edge, _backend) = path(&pki.listener("proxy")).await;
    is_let_in(&mux, pki.authority.client(None, &["h2"])).await;
    is_let_in(&mux, pki.authority.client(None, &["http/1.1", "h2"])).await;
    is_let_in(&mux, older(&pki, "h2")).await;
}

#[tokio::test]
async fn our_own_services_are_behind_tls_too() {
    let pki = Pki::new("own");
    let mux = server(&pki.listener("proxy")).await;
    let tls = pki.authority.client(None, &["h2"]);
    let caller = Caller::secure(mux.proxy, tls).await.unwrap();
    let check = "/grpc.health.v1.Health/Check";
    let answer = caller.call(check, &[], &[0; 5]).await;
    assert_eq!(&answer.body[5..], b"\x08\x01", "SERVING");
}

#[tokio::test]
async fn who_does_not_offer_http_2_is_refused() {
    let pki = Pki::new("alpn");
    let mux = server(&pki.listener("proxy")).await;
    let wanted = Some(AlertDescription::NoApplicationProtocol);
    for other in ["http/1.1", "grpc-multiplexer/1"] {
        let tls = pki.authority.client(None, &[other]);
        let error = connect(mux.proxy, tls).await.unwrap_err();
        assert_eq!(alert(&error), wanted);
    }
    let silent = pki.authority.client(None, &[]);
    let silent = connect(mux.proxy, silent).await.unwrap();
    assert_eq!(ends(silent).await, None);
    mux.says_times("(ALPN h2)", 3).await;
}

#[tokio::test]
async fn an_edge_at_the_proxy_listener_is_told_so_with_tls_and_without() {
    let pki = Pki::new("misdialled");
    let mux = server(&pki.listener("proxy")).await;
    let trust = pki.trust();
    let secure = Edge::dialling(mux.proxy, "rainbow", NOWHERE, &[&trust[0]]);
    secure.says("dials the server's multiplexer listener").await;
    let plain = Edge::dialling(mux.proxy, "rainbow", NOWHERE, &[]);
    plain
        .says("this is the proxy listener, where callers call")
        .await;
}

#[tokio::test]
async fn a_caller_without_the_right_certificate_is_refused() {
    let pki = Pki::new("callers-mutual");
    let right = pki.authority.signs("caller.test");
    let revoked = pki.authority.signs("caller.test");
    let expired = pki
        .authority
        .signs_until("caller.test", SystemTime::now() - DAY);
    let other = Authority::new("other").signs("caller.test");
    let list = pki
        .folder
        .put("crl.pem", pki.authority.revokes(&[&revoked]));
    let mut options = pki.mutual("proxy");
    options.push(format!("--proxy-tls-client-crl={list}"));
    let (mux, _edge, _backend) = path(&options).await;
    for (leaf, wanted, said) in [
        (
            None,
            AlertDescription::CertificateRequired,
            "which --proxy-tls-client-ca asks for",
        ),
        (
            Some(&revoked),
            AlertDescription::CertificateRevoked,
            "by --proxy-tls-client-crl",
        ),
        (
            Some(&expired),
            AlertDescription::CertificateExpired,
            "has expired",
        ),
        (
            Some(&other),
            AlertDescription::UnknownCA,
            "no authority in --proxy-tls-client-ca signed",
        ),
    ] {
        let tls = pki.authority.client(leaf, &["h2"]);
        let stream = connect(mux.proxy, tls).await.unwrap();
        assert_eq!(ends(stream).await, Some(wanted));
        mux.says(said).await;
    }
    is_let_in(&mux, pki.authority.client(Some(&right), &["h2"])).await;
}

/// With plain text all is as without TLS, once the listener has none.
#[tokio::test]
async fn a_caller_with_tls_at_a_listener_without_is_told_and_named() {
    let pki = Pki::new("no-tls");
    let mux = Mux::start().await;
    let tls = pki.authority.client(None, &["h2"]);
    let error = connect(mux.proxy, tls).await.unwrap_err();
    assert_eq!(alert(&error), Some(AlertDescription::HandshakeFailure));
    mux.says("or the server be given --proxy-tls-certificate and --proxy-tls-key")
        .await;
}
