//! Edges that have the client ids that their certificates grant, and no others.

use std::time::SystemTime;

use grpc_multiplexer_tests::{
    Authority, DAY, Edge, Leaf, Mux, checked, whatever_becomes_of_rainbow,
};

use rcgen::{BasicConstraints, IsCa, KeyUsagePurpose};

use crate::tunnel::{is_reached, is_refused};
use crate::{NOWHERE, Pki, borrowed, edge, pong, server};

const URI: &str = "spiffe://example.org/edge/{id}";
const DNS: &str = "{id}.edges.test";

async fn granting(pki: &Pki, pattern: &str) -> Mux {
    let mut options = pki.mutual("multiplexer");
    options.push(format!("--edges-certificate-id={pattern}"));
    server(&options).await
}

/// An edge `rainbow` with that certificate.
fn showing(pki: &Pki, mux: &Mux, leaf: &Leaf, protocol: &str) -> Edge {
    let mut options = pki.edge(leaf, "edge");
    options.push(format!("--tunnel-protocol={protocol}"));
    edge(mux, NOWHERE, &options)
}

#[tokio::test]
async fn an_edge_has_the_id_in_its_certificate_on_both_wires() {
    let pki = Pki::new("granted");
    let (_backend, backend) = pong().await;
    for (pattern, names, principal) in [
        (
            URI,
            &["spiffe://example.org/edge/rainbow", "other.test"][..],
            "certificate spiffe://example.org/edge/rainbow",
        ),
        (
            DNS,
            &["kitchen.edges.test", "rainbow.edges.test"],
            "certificate rainbow.edges.test",
        ),
    ] {
        let mux = granting(&pki, pattern).await;
        let options = pki.edge(&pki.authority.signs_all(names), "edge");
        for (protocol, times) in [("1", 1), ("legacy", 2)] {
            let protocol = [format!("--tunnel-protocol={protocol}")];
            let mut edge = edge(&mux, &backend, &[&options[..], &protocol].concat());
            edge.says(" connected ").await;
            is_reached(&mux).await;
            mux.says_times(principal, times).await;
            edge.kill().await;
        }
    }
}

#[tokio::test]
async fn an_edge_gets_no_id_that_its_certificate_does_not_grant() {
    let pki = Pki::new("denied");
    for (pattern, names, said) in [
        (
            URI,
            &["spiffe://example.org/edge/kitchen"][..],
            "the edge's certificate grants: 'kitchen'; it needs one with the URI spiffe://example.org/edge/rainbow",
        ),
        (
            URI,
            &["spiffe://example.org/edge/rainbow", "https://rainbow.test"],
            "not granted by a certificate with several URIs",
        ),
        (
            URI,
            &["rainbow", "rainbow.edges.test"],
            "not granted by the edge's certificate, nor is another",
        ),
        (
            DNS,
            &["kitchen.edges.test", "a.rainbow.edges.test"],
            "grants: 'kitchen'; it needs one with the DNS name rainbow.edges.test",
        ),
        (
            DNS,
            &["spiffe://example.org/edge/rainbow"],
            "not granted by the edge's certificate, nor is another",
        ),
    ] {
        let mux = granting(&pki, pattern).await;
        let leaf = pki.authority.signs_all(names);
        is_refused(&showing(&pki, &mux, &leaf, "1"), said).await;
        let line = mux.says("edge refused: the client id 'rainbow'").await;
        assert!(
            line.contains(said) && line.contains("from 127.0.0.1"),
            "{line}"
        );
        let legacy = showing(&pki, &mux, &leaf, "legacy");
        legacy.says("or this one may not").await;
        mux.says_times("edge refused: the client id 'rainbow'", 2)
            .await;
        assert!(mux.listed().await.is_empty());
    }
}

/// Whoever may not have an id is told the same, whether it is free, taken, or kept out.
#[tokio::test]
async fn who_may_not_have_an_id_does_not_learn_what_becomes_of_it() {
    let pki = Pki::new("nothing");
    let mut options = pki.mutual("multiplexer");
    options.push(format!("--edges-certificate-id={DNS}"));
    options.push("--operator-listener=127.0.0.1:0".to_owned());
    let mux = server(&options).await;
    let other = pki.edge(&pki.authority.signs("kitchen.edges.test"), "other");
    let right = pki.edge(&pki.authority.signs("rainbow.edges.test"), "right");
    let refusal = async || {
        let refused = edge(&mux, NOWHERE, &other);
        let line = refused.says("refused by the server").await;
        line[line.find("refused by").unwrap()..].to_owned()
    };
    let rainbow = || edge(&mux, NOWHERE, &right);
    let told = whatever_becomes_of_rainbow(&mux, rainbow, refusal).await;
    assert!(told.iter().all(|it| *it == told[0]), "{told:#?}");
}

#[tokio::test]
async fn a_certificate_that_grants_the_id_must_be_a_good_one() {
    let pki = Pki::new("good");
    let mux = granting(&pki, URI).await;
    let name = ["spiffe://example.org/edge/rainbow"];
    let expired = pki.authority.signs_names(&name, SystemTime::now() - DAY);
    let other = Authority::new("other").signs_all(&name);
    let end = SystemTime::now() + DAY;
    let signs = pki.authority.signs_altered(&name, end, |certificate| {
        certificate.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    });
    let authority = pki.authority.signs_altered(&name, end, |certificate| {
        certificate.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    for (leaf, said) in [
        (&signs, "not granted by a certificate that may sign others"),
        (&authority, "no tunnel"),
        (&expired, "(it has expired)"),
        (&other, "signed by no authority that the server trusts"),
    ] {
        is_refused(&showing(&pki, &mux, leaf, "1"), said).await;
    }
    is_refused(
        &edge(&mux, NOWHERE, &pki.trust()),
        "the server asks for a certificate",
    )
    .await;
}

/// Another pattern holds for whoever comes from then on.
#[tokio::test]
async fn the_pattern_reloads() {
    let pki = Pki::new("pattern");
    let write = |pattern: &str| {
        let text = format!("edges-certificate-id: '{pattern}'\n");
        pki.folder.put("server.yaml", text)
    };
    let mut options = pki.mutual("multiplexer");
    options.push(format!("--config={}", write("{id}.other.test")));
    let mux = server(&options).await;
    let leaf = pki.authority.signs("rainbow.edges.test");
    is_refused(
        &showing(&pki, &mux, &leaf, "1"),
        "the DNS name rainbow.other.test",
    )
    .await;
    write(DNS);
    mux.signal("HUP");
    mux.says("option reloaded key=edges-certificate-id").await;
    showing(&pki, &mux, &leaf, "1").says(" connected ").await;
}

#[test]
fn a_pattern_needs_certificates_and_one_place_for_the_id() {
    let pki = Pki::new("mistakes");
    let pattern = [format!("--edges-certificate-id={URI}")];
    let wrong = ["--edges-certificate-id=rainbow".to_owned()];
    let (plain, mutual) = (pki.listener("multiplexer"), pki.mutual("multiplexer"));
    let needs = "has no effect without --multiplexer-tls-client-ca";
    for (options, why) in [
        ([&[], &pattern[..]].concat(), needs),
        ([&plain[..], &pattern].concat(), needs),
        ([&mutual[..], &wrong].concat(), "must have {id} once"),
    ] {
        let (code, said) = checked("grpc-multiplexer-server", &options);
        assert_eq!(code, Some(2), "{:?}", borrowed(&options));
        assert!(said.contains(why), "{said}");
    }
}
