//! Tunnels that end because the edge does not trust their server any more.

use std::time::SystemTime;

use grpc_multiplexer_tests::{Authority, Backend, Caller, Edge, Leaf, Load, Mux, until};

use crate::tunnel::{is_reached, is_refused};
use crate::{NOWHERE, Pki, edge, ending, pong, server};

const CUT: &str = "the server is trusted no more, closing its tunnel";
const MENDED: &str = "no tunnel, and none until this is mended";

/// A server with a certificate of `authority`, and the options of an edge that trusts those of both authorities.
async fn of_another(pki: &Pki, authority: &Authority) -> (Mux, Vec<String>) {
    let both = [pki.authority.pem(), authority.pem()].concat();
    pki.folder.put("ca.pem", both);
    let mux = server(&pki.shows("multiplexer", &authority.signs("127.0.0.1"))).await;
    (mux, pki.trust())
}

fn times(edge: &Edge, part: &str) -> usize {
    edge.log().iter().filter(|line| line.contains(part)).count()
}

/// On both wires, with the call that is on it. The edge asks again as after any refusal that lasts, and no more often.
#[tokio::test]
async fn an_authority_that_is_taken_out_takes_the_tunnels_to_its_servers_along() {
    let pki = Pki::new("server-ca");
    let other = Authority::new("other");
    let (mux, options) = of_another(&pki, &other).await;
    let both = [pki.authority.pem(), other.pem()].concat();
    let backend = Backend::h2(async |mut call| call.wait_reset().await).await;
    for (round, protocol) in ["1", "legacy"].into_iter().enumerate() {
        pki.folder.put("ca.pem", &both);
        let protocol = [format!("--tunnel-protocol={protocol}")];
        let address = backend.address.to_string();
        let edge = edge(&mux, &address, &[&options[..], &protocol].concat());
        edge.says(" connected ").await;
        let caller = Caller::connect(mux.proxy).await;
        let call = caller.start("/s/m", &[("client-id", "rainbow")]).await;
        backend.calls(round + 1).await;

        pki.folder.put("ca.pem", pki.authority.pem());
        edge.signal("HUP");
        let why = "signed by none of the authorities in --multiplexer-tls-ca";
        let line = edge.says(CUT).await;
        assert!(line.contains(why), "{line}");
        call.answer().await.is_ours(
            14,
            "mux: tunnel to edge 'rainbow' lost",
            "tunnel-lost",
            "maybe",
        );
        assert!(edge.says("tunnel lost").await.contains(why));
        assert!(edge.says(MENDED).await.contains(why));
        assert!(mux.listed().await.is_empty());
        assert_eq!(times(&edge, CUT), 1);
        assert_eq!(times(&edge, "no tunnel"), 1);

        pki.folder.put("ca.pem", &both);
        edge.signal("HUP");
        edge.says_times(" connected ", 2).await;
    }
}

/// The next tunnel comes up beside the old one, also where the edge has nothing new to show.
#[tokio::test]
async fn a_server_that_has_another_certificate_by_then_keeps_its_edges_and_no_call_fails() {
    let pki = Pki::new("server-renewed");
    let other = Authority::new("other");
    let (mux, options) = of_another(&pki, &other).await;
    let (_backend, backend) = pong().await;
    let edge = edge(&mux, &backend, &options);
    edge.says(" connected ").await;
    let load = Load::start(&mux).await;
    let renewed = pki.authority.signs("127.0.0.1");
    renewed.put(&pki.folder, "multiplexer");
    mux.reload().await;
    pki.folder.put("ca.pem", pki.authority.pem());
    edge.reload().await;
    edge.says(CUT).await;
    edge.says("old tunnel closed").await;
    load.none_failed().await;
    edge.never_said("tunnel lost");
    assert_eq!(times(&edge, " connected "), 2);
}

#[tokio::test]
async fn a_server_whose_certificate_is_revoked_or_on_no_list_gets_no_edge_and_loses_those_it_has() {
    let pki = Pki::new("server-crl");
    let leaf = pki.authority.signs("127.0.0.1");
    let mux = server(&pki.shows("multiplexer", &leaf)).await;
    let lists = |name: &str, list: &str| {
        let mut options = pki.trust();
        let file = pki.folder.put(name, list);
        options.push(format!("--multiplexer-tls-crl={file}"));
        options
    };
    let other = Authority::new("other").revokes(&[]);
    let without = edge(&mux, NOWHERE, &lists("other.pem", &other));
    is_refused(
        &without,
        "--multiplexer-tls-crl has no list of the authority",
    )
    .await;

    let edge = edge(
        &mux,
        NOWHERE,
        &lists("crl.pem", &pki.authority.revokes(&[])),
    );
    edge.says(" connected ").await;
    pki.folder.put("crl.pem", pki.authority.revokes(&[&leaf]));
    edge.reload().await;
    let why = "is revoked by --multiplexer-tls-crl";
    let line = edge.says(CUT).await;
    assert!(line.contains(why), "{line}");
    edge.says("tunnel lost").await;
    assert!(edge.says(MENDED).await.contains(why));
    mux.says(
        "does not accept the certificate in --multiplexer-tls-certificate (CertificateRevoked)",
    )
    .await;
    until("the edge is gone", async || {
        mux.listed().await.is_empty().then_some(())
    })
    .await;
    // Lists that cannot be read leave what is in force.
    let file = pki.folder.put("crl.pem", "nothing");
    edge.signal("HUP");
    edge.says(&format!("{file:?}: this holds no PEM revocation list"))
        .await;
}

#[tokio::test]
async fn the_end_of_a_servers_certificate_is_that_of_its_tunnels() {
    let pki = Pki::new("server-end");
    let mux = server(&pki.listener("multiplexer")).await;
    let connected = async |leaf: &Leaf| {
        leaf.put(&pki.folder, "multiplexer");
        mux.reload().await;
        let edge = edge(&mux, NOWHERE, &pki.trust());
        let is_connected = until("a tunnel, or none", async || {
            let said = |part| times(&edge, part) > 0;
            (said(" connected ") || said("no tunnel")).then(|| said(" connected "))
        });
        is_connected.await.then_some(edge)
    };
    let (edge, end) = ending(&pki.authority, "127.0.0.1", connected).await;
    let line = edge.says(CUT).await;
    assert!(SystemTime::now() >= end);
    assert!(
        line.contains("the server's certificate has expired"),
        "{line}"
    );
    edge.says("tunnel lost").await;
    assert_eq!(times(&edge, CUT), 1);
}

/// What is said in plain text is not left to go on for as long as nobody hangs up.
#[tokio::test]
async fn an_edge_that_is_to_speak_tls_from_now_on_does_so_at_once() {
    let pki = Pki::new("server-plain");
    let [certificate, key] = pki
        .authority
        .signs("127.0.0.1")
        .put(&pki.folder, "multiplexer");
    let at_server = pki.folder.put("server.yaml", "");
    let at_edge = pki.folder.put("edge.yaml", "");
    let mux = server(&[format!("--config={at_server}")]).await;
    let (_backend, backend) = pong().await;
    let edge = edge(&mux, &backend, &[format!("--config={at_edge}")]);
    edge.says(" connected ").await;
    let tls = format!("multiplexer: {{ tls: {{ certificate: {certificate}, key: {key} }} }}\n");
    pki.folder.put("server.yaml", tls);
    mux.reload().await;
    edge.never_said("tunnel lost");
    let tls = format!("multiplexer: {{ tls: {{ ca: {} }} }}\n", pki.ca);
    pki.folder.put("edge.yaml", tls);
    edge.reload().await;
    let line = edge.says(CUT).await;
    assert!(line.contains("showed no certificate"), "{line}");
    edge.says_times(" connected ", 2).await;
    is_reached(&mux).await;
}
