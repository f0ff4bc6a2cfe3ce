//! The admin listener, and what it says of certificates.

use std::net::SocketAddr;
use std::time::SystemTime;

use grpc_multiplexer_tests::{DAY, Edge, Mux, free, metric, page, until, within};
use rustls::{AlertDescription, ClientConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{NOWHERE, Pki, alert, borrowed, connect, edge, ends, server};

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

#[tokio::test]
async fn the_end_of_each_certificate_is_a_metric_and_is_told_in_time() {
    let pki = Pki::new("expiry");
    let soon = SystemTime::now() + 7 * DAY / 2;
    let soon = pki.authority.signs_until("127.0.0.1", soon);
    let mut options = pki.shows("multiplexer", &soon);
    options.extend(pki.listener("proxy"));
    let mux = server(&options).await;
    let line = mux.says("WARN certificate expires soon").await;
    assert!(line.ends_with("multiplexer.pem days=3"), "{line}");
    let left = async |of: &str| {
        let series = format!("certificate_expiry_seconds{{certificate=\"{of}\"}}");
        metric(mux.admin, &series).await / DAY.as_secs_f64()
    };
    let (multiplexer, proxy) = ("multiplexer.tls.certificate", "proxy.tls.certificate");
    assert!((3.4..=3.5).contains(&left(multiplexer).await));
    assert!((364.0..=365.0).contains(&left(proxy).await));
    // Of those in force, and of one that is over.
    let over = SystemTime::now() - 2 * DAY;
    let over = pki.authority.signs_until("127.0.0.1", over);
    over.put(&pki.folder, "multiplexer");
    mux.says("WARN certificate has expired").await;
    assert!((-2.1..=-2.0).contains(&left(multiplexer).await));
    // Nothing else was told.
    let warned = |line: &String| line.contains("WARN certificate");
    assert_eq!(mux.log().iter().filter(|line| warned(line)).count(), 2);
}

#[tokio::test]
async fn an_edge_tells_of_its_own_certificates() {
    let pki = Pki::new("expiry-edge");
    let mux = server(&pki.mutual("multiplexer")).await;
    let soon = SystemTime::now() + 13 * DAY;
    let options = pki.edge(&pki.authority.signs_until("e.test", soon), "edge");
    let mut options = borrowed(&options);
    let [admin] = free();
    let admin_listener = format!("--admin-listener={admin}");
    options.push(&admin_listener);
    let edge = Edge::dialling(mux.multiplexer, "rainbow", NOWHERE, &options);
    edge.says(" connected ").await;
    edge.says("WARN certificate expires soon").await;
    let series = "certificate_expiry_seconds{certificate=\"multiplexer.tls.certificate\"}";
    assert!(metric(admin, series).await > 12.0 * DAY.as_secs_f64());
}
