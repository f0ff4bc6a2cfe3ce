//! Between the edge and its backend.

use std::sync::Arc;

use grpc_multiplexer_tests::{Authority, Backend, Caller, Edge, Mux, until};
use rustls::ServerConfig;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::{Pki, borrowed, pong};

/// A backend that asks for a certificate.
async fn mutual(pki: &Pki) -> (Backend, Backend) {
    let leaf = pki.authority.signs("127.0.0.1");
    let config = leaf.server(Some(&pki.authority), &["h2"]);
    let (_, config) = watch::channel(Arc::new(config));
    secure(config).await
}

/// A backend that answers every call with `pong`, and what speaks TLS in front of it, with each that comes as it is then.
pub(crate) async fn secure(config: watch::Receiver<Arc<ServerConfig>>) -> (Backend, Backend) {
    let (backend, address) = pong().await;
    let front = Backend::tcp(move |socket| {
        let acceptor = TlsAcceptor::from(Arc::clone(&config.borrow()));
        let address = address.clone();
        async move {
            if let Ok(mut stream) = acceptor.accept(socket).await {
                let mut backend = TcpStream::connect(&address).await.unwrap();
                // Ends with either side.
                let _ = copy_bidirectional(&mut stream, &mut backend).await;
            }
        }
    })
    .await;
    (backend, front)
}

#[tokio::test]
async fn a_backend_that_asks_for_a_certificate_is_shown_one() {
    let pki = Pki::new("backend");
    let mux = Mux::start().await;
    let (_backend, front) = mutual(&pki).await;
    let https = format!("https://{}", front.address);
    let ca = format!("--backend-ca={}", pki.ca);
    let start = async |id: &str, options: &[String]| {
        let edge = Edge::dialling(mux.multiplexer, id, &https, &borrowed(options));
        edge.says(" connected ").await;
        edge
    };
    let shows = |leaf: &grpc_multiplexer_tests::Leaf, name: &str| {
        let [certificate, key] = leaf.put(&pki.folder, name);
        let certificate = format!("--backend-certificate={certificate}");
        vec![ca.clone(), certificate, format!("--backend-key={key}")]
    };
    let caller = Caller::connect(mux.proxy).await;
    let call = async |id: &str| caller.call("/s/m", &[("client-id", id)], b"").await;

    let without = start("without", std::slice::from_ref(&ca)).await;
    let other = Authority::new("other").signs("edge.test");
    let _other = start("other", &shows(&other, "other")).await;
    for id in ["without", "other"] {
        let answer = call(id).await;
        assert_eq!(answer.mux_error(), Some("backend-connect"), "{answer:?}");
    }
    without
        .says("give --backend-certificate and --backend-key")
        .await;

    let right = pki.authority.signs("edge.test");
    let _right = start("right", &shows(&right, "right")).await;
    assert_eq!(call("right").await.body, b"pong");

    // The file is looked at: what was of another authority is mended.
    right.put(&pki.folder, "other");
    until("an answer", async || {
        (call("other").await.body == b"pong").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_backend_whose_certificate_is_revoked_or_on_no_list_gets_no_call() {
    let pki = Pki::new("backend-crl");
    let mux = Mux::start().await;
    let leaf = pki.authority.signs("127.0.0.1");
    let (_, config) = watch::channel(Arc::new(leaf.server(None, &["h2"])));
    let (_backend, front) = secure(config).await;
    let https = format!("https://{}", front.address);
    let caller = Caller::connect(mux.proxy).await;
    for (id, list, why) in [
        ("unlisted", Authority::new("other").revokes(&[]), "Unknown"),
        ("revoked", pki.authority.revokes(&[&leaf]), "Revoked"),
    ] {
        let list = pki.folder.put("crl.pem", list);
        let options = [
            format!("--backend-ca={}", pki.ca),
            format!("--backend-crl={list}"),
        ];
        let edge = Edge::dialling(mux.multiplexer, id, &https, &borrowed(&options));
        edge.says(" connected ").await;
        let call = async || caller.call("/s/m", &[("client-id", id)], b"").await;
        let answer = call().await;
        assert_eq!(answer.mux_error(), Some("backend-connect"), "{answer:?}");
        let line = edge.says("see --backend-ca, --backend-crl and").await;
        assert!(line.contains(why), "{line}");
        pki.folder.put("crl.pem", pki.authority.revokes(&[]));
        edge.reload().await;
        until("an answer", async || {
            (call().await.body == b"pong").then_some(())
        })
        .await;
    }
}
