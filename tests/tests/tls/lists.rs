//! Revocation lists of listeners that are neither for callers nor for edges, and lists that are old.

use std::net::SocketAddr;
use std::time::SystemTime;

use grpc_multiplexer_tests::{Authority, DAY, Leaf, Mux};
use rustls::AlertDescription;
use tokio::io::AsyncWriteExt as _;

use crate::{NOWHERE, Pki, connect, edge, ends, server};

/// A server whose listener for operators, or for those who look, has `list`.
async fn lists(pki: &Pki, listener: &str, list: &str) -> (Mux, SocketAddr) {
    let mut options = pki.mutual(listener);
    let list = pki.folder.put("crl.pem", list);
    options.push(format!("--{listener}-tls-client-crl={list}"));
    if listener == "operator" {
        options.push("--operator-listener=127.0.0.1:0".to_owned());
    }
    let mux = server(&options).await;
    let address = match listener {
        "operator" => mux.operator_listener().await,
        _ => mux.admin,
    };
    (mux, address)
}

/// What somebody is told who shows `leaf`.
async fn told(pki: &Pki, address: SocketAddr, leaf: &Leaf) -> Option<AlertDescription> {
    let tls = pki.authority.client(Some(leaf), &["h2", "http/1.1"]);
    let mut stream = connect(address, tls).await.unwrap();
    // Whoever is let in gets some answer, and an end.
    let _ = stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await;
    ends(stream).await
}

#[tokio::test]
async fn whose_certificate_is_on_the_list_or_on_none_is_refused() {
    for listener in ["operator", "admin"] {
        let pki = Pki::new(listener);
        let other = Authority::new("unlisted");
        let both = [pki.authority.pem(), other.pem()].concat();
        pki.folder.put("ca.pem", both);
        let [bad, good] = ["bad.test", "good.test"].map(|name| pki.authority.signs(name));
        let (mux, address) = lists(&pki, listener, &pki.authority.revokes(&[&bad])).await;
        let revoked = Some(AlertDescription::CertificateRevoked);
        assert_eq!(told(&pki, address, &bad).await, revoked);
        let option = format!("--{listener}-tls-client-crl");
        mux.says(&format!("is revoked by {option}")).await;
        let unlisted = told(&pki, address, &other.signs("other.test")).await;
        assert_eq!(unlisted, Some(AlertDescription::UnknownCA));
        mux.says(&format!("{option} has no list of the authority"))
            .await;
        assert_eq!(told(&pki, address, &good).await, None);
        // It may be good again, and another bad.
        let list = pki.authority.revokes(&[&good]);
        pki.folder.put("crl.pem", list);
        mux.reload().await;
        assert_eq!(told(&pki, address, &good).await, revoked);
        assert_eq!(told(&pki, address, &bad).await, None);
    }
}

/// Whoever takes an authority back takes back all that it signed.
#[tokio::test]
async fn an_authority_in_between_is_looked_up_too() {
    let pki = Pki::new("between");
    let (between, own) = pki.authority.signs_authority("in between");
    let mut leaf = between.signs_names(&["rainbow.test"], SystemTime::now() + DAY);
    leaf.certificate += &own.certificate;
    let below = between.revokes(&[]);
    let mut options = pki.mutual("multiplexer");
    let list = pki.folder.0.join("crl.pem").display().to_string();
    options.push(format!("--multiplexer-tls-client-crl={list}"));
    for (above, said) in [
        (pki.authority.revokes(&[]), " connected "),
        (pki.authority.revokes(&[&own]), "(it is revoked)"),
        (String::new(), "no tunnel"),
    ] {
        pki.folder.put("crl.pem", [&*below, &above].concat());
        let mux = server(&options).await;
        let edge = edge(&mux, NOWHERE, &pki.edge(&leaf, "edge"));
        edge.says(said).await;
        if above.is_empty() {
            mux.says("has no list of the authority").await;
        }
    }
}

/// Whoever publishes lists may be late, and nobody else is to be locked out by that.
#[tokio::test]
async fn a_list_whose_next_update_is_past_is_taken() {
    let pki = Pki::new("old-list");
    let [bad, good] = ["bad.test", "good.test"].map(|name| pki.authority.signs(name));
    let old = pki.authority.revokes_until(&[&bad], 2021);
    let list = pki.folder.put("crl.pem", old);
    let mut options = pki.mutual("multiplexer");
    options.push(format!("--multiplexer-tls-client-crl={list}"));
    let mux = server(&options).await;
    let refused = edge(&mux, NOWHERE, &pki.edge(&bad, "bad"));
    refused.says("(it is revoked)").await;
    let mut options = pki.edge(&good, "good");
    options.push(format!("--multiplexer-tls-crl={list}"));
    edge(&mux, NOWHERE, &options).says(" connected ").await;
}
