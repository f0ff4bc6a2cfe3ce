//! The admin listener.

use std::net::SocketAddr;

use grpc_multiplexer_tests::{Mux, free, page, until, within};
use rustls::{AlertDescription, ClientConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{NOWHERE, Pki, alert, connect, edge, ends, server};

async fn ask(address: SocketAddr, tls: ClientConfig) -> String {
    let mut stream = connect(address, tls).await.unwrap();
    let request = b"GET /readyz HTTP/1.1\r\nhost: admin\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    let _ = within("an answer", stream.read_to_string(&mut answer)).await;
    answer
}

#[tokio::test]
async fn the_admin_listener_speaks_tls_and_asks_who_it_is() {
    let pki = Pki::new("admin");
    let mux = server(&pki.mutual("admin")).await;
    let right = pki.authority.signs("operator.test");
    for protocols in [&["h2", "http/1.1"][..], &[]] {
        let tls = pki.authority.client(Some(&right), protocols);
        let answer = ask(mux.admin, tls).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    let nobody = connect(mux.admin, pki.authority.client(None, &[])).await;
    let wanted = Some(AlertDescription::CertificateRequired);
    assert_eq!(ends(nobody.unwrap()).await, wanted);
    mux.says("which --admin-tls-client-ca asks for").await;
    let (status, text) = page(mux.admin, "/readyz").await;
    assert_eq!(status, 400);
    assert!(text.contains("https://"), "{text}");
    mux.says("(--admin-tls-certificate)").await;

    let plain = Mux::start().await;
    let error = connect(plain.admin, pki.authority.client(None, &[])).await;
    let wanted = Some(AlertDescription::HandshakeFailure);
    assert_eq!(alert(&error.unwrap_err()), wanted);
    plain.says("or give --admin-tls-certificate").await;
}

#[tokio::test]
async fn the_admin_listener_of_an_edge_takes_a_new_certificate() {
    let pki = Pki::new("admin-edge");
    let mux = Mux::start().await;
    let [admin] = free();
    let mut options = pki.listener("admin");
    options.push(format!("--admin-listener={admin}"));
    let edge = edge(&mux, NOWHERE, &options);
    edge.says(" connected ").await;
    let renewed = pki.authority.signs("127.0.0.1");
    renewed.put(&pki.folder, "admin");
    until("the new certificate", async || {
        let stream = connect(admin, pki.authority.client(None, &[]))
            .await
            .unwrap();
        let shown = stream.get_ref().1.peer_certificates().unwrap();
        (shown[0] == renewed.der()).then_some(())
    })
    .await;
}
