//! Between edges and the server.

use std::sync::Arc;
use std::time::SystemTime;

use grpc_multiplexer_tests::{Authority, Backend, Caller, DAY, Edge, Mux, Tap, within};
use rustls::AlertDescription;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::{NOWHERE, Pki, TUNNEL, alert, connect, edge, ends, older, pong, server};

/// Callers reach the edge.
pub(crate) async fn is_reached(mux: &Mux) {
    let caller = Caller::connect(mux.proxy).await;
    let answer = caller.call("/s/m", &[("client-id", "rainbow")], b"").await;
    assert_eq!(answer.body, b"pong", "{answer:?}");
}

/// An edge says why it gets no tunnel, and that it will get none until somebody acts.
pub(crate) async fn is_refused(edge: &Edge, why: &str) {
    let line = edge.says("no tunnel, and none until this is mended").await;
    assert!(line.contains(why), "{line}");
    edge.never_said(" connected ");
}

#[tokio::test]
async fn an_edge_serves_calls_over_tls_on_both_wires() {
    let pki = Pki::new("calls");
    let (_backend, backend) = pong().await;
    let mux = server(&pki.listener("multiplexer")).await;
    for protocol in ["auto", "1", "legacy"] {
        let mut options = pki.trust();
        options.push(format!("--tunnel-protocol={protocol}"));
        let mut edge = edge(&mux, &backend, &options);
        edge.says(" connected ").await;
        is_reached(&mux).await;
        edge.kill().await;
    }
}

#[tokio::test]
async fn a_server_of_another_authority_gets_no_edge() {
    let pki = Pki::new("authority");
    let mux = server(&pki.listener("multiplexer")).await;
    let other = pki.folder.put("other.pem", Authority::new("other").pem());
    for ca in [other.as_str(), "system"] {
        let edge = edge(&mux, NOWHERE, &[format!("--multiplexer-tls-ca={ca}")]);
        is_refused(&edge, "none of the authorities in --multiplexer-tls-ca").await;
    }
    mux.says("does not accept the certificate in --multiplexer-tls-certificate")
        .await;
}

#[tokio::test]
async fn a_server_of_another_name_gets_no_edge_unless_that_is_asked_for() {
    let pki = Pki::new("name");
    let leaf = pki.authority.signs("mux.test");
    let mux = server(&pki.shows("multiplexer", &leaf)).await;
    let wrong = edge(&mux, NOWHERE, &pki.trust());
    is_refused(&wrong, "give --multiplexer-tls-server-name").await;
    wrong.says("mux.test").await;
    let mut options = pki.trust();
    options.push("--multiplexer-tls-server-name=mux.test".to_owned());
    edge(&mux, NOWHERE, &options).says(" connected ").await;
}

#[tokio::test]
async fn a_server_whose_certificate_has_expired_gets_no_edge() {
    let pki = Pki::new("expired");
    let yesterday = SystemTime::now() - DAY;
    let leaf = pki.authority.signs_until("127.0.0.1", yesterday);
    let mux = server(&pki.shows("multiplexer", &leaf)).await;
    let edge = edge(&mux, NOWHERE, &pki.trust());
    is_refused(&edge, "the server's certificate has expired").await;
}

#[tokio::test]
async fn an_edge_without_the_right_certificate_gets_no_tunnel() {
    let pki = Pki::new("mutual");
    let right = pki.authority.signs("edge.test");
    let revoked = pki.authority.signs("edge.test");
    let expired = SystemTime::now() - DAY;
    let expired = pki.authority.signs_until("edge.test", expired);
    let other = Authority::new("other").signs("edge.test");
    let list = pki.authority.revokes(&[&revoked]);
    let list = pki.folder.put("crl.pem", list);
    let mut options = pki.mutual("multiplexer");
    options.push(format!("--multiplexer-tls-client-crl={list}"));
    let mux = server(&options).await;
    let shows = |leaf, name| pki.edge(leaf, name);
    for (options, at_the_edge, at_the_server) in [
        (
            pki.trust(),
            "give --multiplexer-tls-certificate and --multiplexer-tls-key",
            "shows no certificate, which --multiplexer-tls-client-ca asks for",
        ),
        (
            shows(&revoked, "revoked"),
            "--multiplexer-tls-certificate (it is revoked)",
            "is revoked by --multiplexer-tls-client-crl",
        ),
        (
            shows(&expired, "expired"),
            "--multiplexer-tls-certificate (it has expired)",
            "that was shown has expired",
        ),
        (
            shows(&other, "other"),
            "signed by no authority that the server trusts",
            "no authority in --multiplexer-tls-client-ca signed",
        ),
    ] {
        for protocol in ["auto", "legacy"] {
            let protocol = [format!("--tunnel-protocol={protocol}")];
            let edge = edge(&mux, NOWHERE, &[&options[..], &protocol].concat());
            is_refused(&edge, at_the_edge).await;
        }
        mux.says(at_the_server).await;
    }
    let (_backend, backend) = pong().await;
    let edge = edge(&mux, &backend, &shows(&right, "right"));
    edge.says(" connected ").await;
    is_reached(&mux).await;
}

/// An authority whose list is missing might have revoked anything.
#[tokio::test]
async fn an_edge_of_an_authority_without_a_list_gets_no_tunnel_where_there_are_lists() {
    let pki = Pki::new("unlisted");
    let listed = Authority::new("listed");
    let both = [pki.authority.pem(), listed.pem()].concat();
    pki.folder.put("ca.pem", both);
    let list = pki.folder.put("crl.pem", listed.revokes(&[]));
    let mut options = pki.mutual("multiplexer");
    options.push(format!("--multiplexer-tls-client-crl={list}"));
    let mux = server(&options).await;
    let unlisted = pki.edge(&pki.authority.signs("edge.test"), "unlisted");
    is_refused(
        &edge(&mux, NOWHERE, &unlisted),
        "--multiplexer-tls-certificate",
    )
    .await;
    mux.says("--multiplexer-tls-client-crl has no list of the authority")
        .await;
    let listed = pki.edge(&listed.signs("edge.test"), "listed");
    edge(&mux, NOWHERE, &listed).says(" connected ").await;
}

#[tokio::test]
async fn who_speaks_an_older_tls_or_another_protocol_is_refused() {
    let pki = Pki::new("version");
    let mux = server(&pki.listener("multiplexer")).await;
    let error = connect(mux.multiplexer, older(&pki, TUNNEL))
        .await
        .unwrap_err();
    assert_eq!(alert(&error), Some(AlertDescription::ProtocolVersion));
    mux.says("offers older versions of TLS only").await;

    // A caller, and somebody who does not say.
    let caller = pki.authority.client(None, &["h2"]);
    let error = connect(mux.multiplexer, caller).await.unwrap_err();
    let wanted = Some(AlertDescription::NoApplicationProtocol);
    assert_eq!(alert(&error), wanted);
    let silent = pki.authority.client(None, &[]);
    let silent = connect(mux.multiplexer, silent).await.unwrap();
    assert_eq!(ends(silent).await, None);
    mux.says_times("(ALPN grpc-multiplexer/1)", 2).await;
}

#[tokio::test]
async fn plain_text_and_tls_that_meet_are_told_apart_at_both_ends() {
    let pki = Pki::new("plain");
    let secure = server(&pki.listener("multiplexer")).await;
    let plain = Mux::start().await;
    for protocol in ["auto", "1"] {
        let protocol = [format!("--tunnel-protocol={protocol}")];
        let plain_edge = edge(&secure, NOWHERE, &protocol);
        is_refused(&plain_edge, "give the edge --multiplexer-tls-ca").await;
        let options = [&pki.trust()[..], &protocol].concat();
        let secure_edge = edge(&plain, NOWHERE, &options);
        is_refused(
            &secure_edge,
            "give the server --multiplexer-tls-certificate",
        )
        .await;
    }
    secure.says("an edge came without TLS").await;
    plain
        .says("speaks TLS to the multiplexer listener, which has none")
        .await;
    // One of the original's has no ear for it, and no other edge is to be looked for.
    let legacy = ["--tunnel-protocol=legacy".to_owned()];
    edge(&secure, NOWHERE, &legacy).says("no tunnel").await;
}

#[tokio::test]
async fn an_edge_says_what_it_dialled_with_tls_in_place_of_a_multiplexer() {
    let pki = Pki::new("foreign");
    let leaf = pki.authority.signs("127.0.0.1");
    for protocols in [&["h2"][..], &[]] {
        let acceptor = TlsAcceptor::from(Arc::new(leaf.server(None, protocols)));
        let other = Backend::tcp(move |socket| {
            let acceptor = acceptor.clone();
            async move {
                if let Ok(mut stream) = acceptor.accept(socket).await {
                    let _ = stream.read_to_end(&mut Vec::new()).await;
                }
            }
        })
        .await;
        let trust = pki.trust();
        let edge = Edge::dialling(other.address, "rainbow", NOWHERE, &[&trust[0]]);
        is_refused(&edge, "dials the server's multiplexer listener").await;
    }
    let silent = Backend::tcp(|socket| async move { drop(socket) }).await;
    let trust = pki.trust();
    let edge = Edge::dialling(silent.address, "rainbow", NOWHERE, &[&trust[0]]);
    edge.says("no tunnel").await;
    edge.says("dialling again").await;
}

#[tokio::test]
async fn who_does_not_finish_its_handshake_is_cut_off() {
    let pki = Pki::new("slow");
    let mut options = pki.listener("multiplexer");
    options.push("--handshake-timeout=100ms".to_owned());
    let mux = server(&options).await;
    let mut socket = TcpStream::connect(mux.multiplexer).await.unwrap();
    // The beginning of a ClientHello.
    socket.write_all(&[0x16, 3, 1, 0, 200, 1]).await.unwrap();
    let mut rest = Vec::new();
    let _ = within("the end", socket.read_to_end(&mut rest)).await;
    assert!(rest.is_empty(), "{rest:?}");
}

#[tokio::test]
async fn nothing_of_a_call_is_readable_on_the_way() {
    const MARKER: &[u8] = b"a marker that nobody else may read";
    let pki = Pki::new("capture");
    let backend = Backend::h2(async |mut call| call.ok(MARKER).await).await;
    let mux = server(&pki.listener("multiplexer")).await;
    let tap = Tap::to(mux.multiplexer).await;
    let (address, trust) = (backend.address.to_string(), pki.trust());
    let edge = Edge::dialling(tap.address, "rainbow", &address, &[&trust[0]]);
    edge.says(" connected ").await;
    let caller = Caller::connect(mux.proxy).await;
    let metadata = [("client-id", "rainbow"), ("x-marker", "a marker")];
    let answer = caller.call("/s/m", &metadata, MARKER).await;
    assert_eq!(answer.body, MARKER);
    let seen = tap.seen();
    assert!(seen.len() > 2 * MARKER.len());
    for marker in [MARKER, b"rainbow", b"x-marker"] {
        assert!(!seen.windows(marker.len()).any(|part| part == marker));
    }
}
