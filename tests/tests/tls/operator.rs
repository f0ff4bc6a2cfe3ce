//! The operator listener with TLS, by way of the subcommands of operators.

use std::time::SystemTime;

use grpc_multiplexer_tests::{Authority, Caller, Leaf, Mux, checked, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::{NOWHERE, Pki, answered, borrowed, connect, edge, ending, ends, server};

const SERVER: &str = "grpc-multiplexer-server";

/// The options of a server that takes operators with a certificate.
fn asks(pki: &Pki) -> Vec<String> {
    let mut options = pki.mutual("operator");
    options.push("--operator-listener=127.0.0.1:0".to_owned());
    options
}

/// What `kick rainbow` says with these options.
async fn kick(mux: &Mux, options: &[String]) -> (Option<i32>, String) {
    let address = mux.operator_listener().await.to_string();
    let kick = [
        "kick",
        "rainbow",
        "--reason=why",
        "--operator-address",
        &address,
    ];
    answered(&[&kick[..], &borrowed(options)].concat()).await
}

fn shows(pki: &Pki, leaf: &Leaf) -> Vec<String> {
    let [certificate, key] = leaf.put(&pki.folder, "operator-own");
    vec![
        format!("--operator-tls-ca={}", pki.ca),
        format!("--operator-tls-certificate={certificate}"),
        format!("--operator-tls-key={key}"),
    ]
}

#[tokio::test]
async fn only_who_shows_a_certificate_of_the_authority_may() {
    let pki = Pki::new("operator");
    let mux = server(&asks(&pki)).await;
    let edge = edge(&mux, NOWHERE, &[]);
    edge.says(" connected ").await;
    let stranger = Pki::new("stranger").authority.signs("operator.test");
    for (options, said) in [
        (vec![], "operator-tls-ca"),
        (
            shows(&pki, &stranger)[..1].to_vec(),
            "--operator-tls-certificate",
        ),
        (shows(&pki, &stranger), "--operator-tls-certificate"),
        (
            vec!["--operator-tls-ca=/nonexistent".to_owned()],
            "/nonexistent",
        ),
    ] {
        let (code, answer) = kick(&mux, &options).await;
        assert_ne!(code, Some(0), "{answer}");
        assert!(answer.contains(said), "no {said} in {answer}");
    }
    mux.says("which --operator-tls-client-ca asks for").await;
    mux.says("no authority in --operator-tls-client-ca signed")
        .await;
    assert_eq!(mux.listed().await, ["rainbow"]);

    let (code, answer) = kick(&mux, &shows(&pki, &pki.authority.signs("operator.test"))).await;
    assert_eq!(code, Some(0), "{answer}");
    assert!(answer.contains("1 tunnel closed"), "{answer}");
    edge.says("an operator closed the tunnel: why").await;
    // And who it was.
    let said = mux.says("edge kicked").await;
    assert!(said.contains("operator.test"), "{said}");
}

/// A certificate of the server's alone is not enough.
#[test]
fn for_others_than_this_machine_it_must_ask_who_it_is() {
    let pki = Pki::new("operator-open");
    let open = |options: Vec<String>| {
        let listens = ["--operator-listener=:1".to_owned()];
        checked(SERVER, &[&listens[..], &options].concat())
    };
    let (code, said) = open(pki.listener("operator"));
    assert_eq!(code, Some(2));
    let wanted = "would be open to others than this machine; give --operator-tls-client-ca";
    assert!(said.contains(wanted), "{said}");
    assert_eq!(open(pki.mutual("operator")), (Some(0), String::new()));
}

/// An operator's connection, if it is served.
async fn connected(mux: &Mux, pki: &Pki, leaf: &Leaf) -> Option<TlsStream<TcpStream>> {
    const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let tls = pki.authority.client(Some(leaf), &["h2"]);
    let mut stream = connect(mux.operator_listener().await, tls).await.ok()?;
    stream.write_all(HELLO).await.ok()?;
    within("an answer", stream.read_exact(&mut [0]))
        .await
        .ok()?;
    Some(stream)
}

/// Those of others stay.
#[tokio::test]
async fn a_connection_ends_when_its_certificate_is_revoked_or_its_authority_taken_out() {
    let pki = Pki::new("operator-cut");
    let other = Authority::new("other");
    let both = [pki.authority.pem(), other.pem()].concat();
    pki.folder.put("ca.pem", both);
    let lists = |bad: &[&Leaf]| [pki.authority.revokes(bad), other.revokes(&[])].concat();
    let list = pki.folder.put("crl.pem", lists(&[]));
    let mut options = asks(&pki);
    options.push(format!("--operator-tls-client-crl={list}"));
    let mux = server(&options).await;
    let bad = pki.authority.signs("bad.test");
    let revoked = connected(&mux, &pki, &bad).await.unwrap();
    let taken_out = other.signs("other.test");
    let taken_out = connected(&mux, &pki, &taken_out).await.unwrap();
    let good = pki.authority.signs("good.test");
    let tls = pki.authority.client(Some(&good), &["h2"]);
    let stays = Caller::secure(mux.operator_listener().await, tls).await;
    let stays = stays.unwrap();
    let is_served = async || {
        // There is nothing of that name.
        let answer = stays.call("/s/m", &[], b"").await;
        assert_eq!(answer.code(), Some(12), "{answer:?}");
    };
    is_served().await;

    pki.folder.put("crl.pem", lists(&[&bad]));
    mux.reload().await;
    ends(revoked).await;
    let why = mux.says("operator connection failed").await;
    assert!(
        why.contains("is revoked by --operator-tls-client-crl"),
        "{why}"
    );
    is_served().await;

    pki.folder.put("ca.pem", pki.authority.pem());
    mux.reload().await;
    ends(taken_out).await;
    mux.says("no authority in --operator-tls-client-ca signed")
        .await;
    is_served().await;
}

#[tokio::test]
async fn a_connection_ends_with_its_certificate() {
    let pki = Pki::new("operator-end");
    let mux = server(&asks(&pki)).await;
    let connected = async |leaf: &Leaf| connected(&mux, &pki, leaf).await;
    let (operator, end) = ending(&pki.authority, "operator.test", connected).await;
    ends(operator).await;
    assert!(SystemTime::now() >= end);
    mux.says("has expired").await;
}
