//! Tunnels and callers' connections that end because the certificate that let them in is good no more.

use std::time::{Duration, SystemTime};

use grpc_multiplexer_tests::{
    Authority, Backend, CUT, Caller, Change, Edge, Leaf, Load, Mux, within,
};

use crate::reload::taken;
use crate::{NOWHERE, Pki, borrowed, edge, server};

const GONE: &str = "edge lost its right to the tunnel";
const WATCH: &str = "/grpc.multiplexer.v1.DiscoveryService/WatchGRPCServer";
/// What a start, a handshake and a call may take, before a certificate ends.
const SHORT: Duration = Duration::from_secs(12);

/// A listener that asks for certificates and has a revocation list, and that list's file.
fn revoking(pki: &Pki, listener: &str) -> (Vec<String>, String) {
    let list = pki.folder.put("crl.pem", pki.authority.revokes(&[]));
    let mut options = pki.mutual(listener);
    options.push(format!("--{listener}-tls-client-crl={list}"));
    (options, list)
}

fn named(mux: &Mux, pki: &Pki, id: &str, leaf: &Leaf, backend: &str) -> Edge {
    let options = pki.edge(leaf, id);
    Edge::dialling(mux.multiplexer, id, backend, &borrowed(&options))
}

fn was_not_cut(edge: &Edge) {
    edge.never_said("tunnel lost");
}

/// With the call that is on it, and without a word to the server.
#[tokio::test]
async fn a_revoked_certificate_takes_its_tunnel_along_and_no_other() {
    let pki = Pki::new("cut-crl");
    let backend = Backend::h2(async |mut call| call.wait_reset().await).await;
    let (options, list) = revoking(&pki, "multiplexer");
    let mux = server(&options).await;
    let [bad, good] = ["bad.test", "good.test"].map(|name| pki.authority.signs(name));
    let address = backend.address.to_string();
    let kitchen = named(&mux, &pki, "kitchen", &bad, &address);
    let rainbow = named(&mux, &pki, "rainbow", &good, NOWHERE);
    for edge in [&kitchen, &rainbow] {
        edge.says(" connected ").await;
    }
    let caller = Caller::connect(mux.proxy).await;
    let call = caller.start("/s/m", &[("client-id", "kitchen")]).await;
    backend.calls(1).await;

    pki.folder.put("crl.pem", pki.authority.revokes(&[&bad]));
    let revoked = Change::saved();
    let line = revoked
        .brings("the end of its tunnel", mux.says(GONE))
        .await;
    let why = "is revoked by --multiplexer-tls-client-crl";
    assert!(
        line.contains("client_id=kitchen") && line.contains(why),
        "{line}"
    );
    let answer = revoked.brings("the end of its call", call.answer());
    answer.await.is_ours(
        14,
        "mux: tunnel to edge 'kitchen' lost",
        "tunnel-lost",
        "maybe",
    );
    let line = kitchen.says("tunnel lost").await;
    assert!(line.contains(why), "{line}");
    kitchen.says("(it is revoked)").await;
    taken(&mux, &list, 1).await;
    assert_eq!(mux.listed().await, ["rainbow"]);
    was_not_cut(&rainbow);
}

/// On both wires.
#[tokio::test]
async fn an_authority_that_is_taken_out_takes_its_tunnels_along() {
    let pki = Pki::new("cut-ca");
    let other = Authority::new("other");
    let both = [pki.authority.pem(), other.pem()].concat();
    pki.folder.put("ca.pem", &both);
    let mux = server(&pki.mutual("multiplexer")).await;
    let stays = named(
        &mux,
        &pki,
        "rainbow",
        &pki.authority.signs("good.test"),
        NOWHERE,
    );
    stays.says(" connected ").await;
    for (round, protocol) in ["1", "legacy"].into_iter().enumerate() {
        pki.folder.put("ca.pem", &both);
        mux.reload().await;
        let protocol = [format!("--tunnel-protocol={protocol}")];
        let options = [&pki.edge(&other.signs("bad.test"), "bad")[..], &protocol].concat();
        let goes = Edge::dialling(mux.multiplexer, "kitchen", NOWHERE, &borrowed(&options));
        goes.says(" connected ").await;
        pki.folder.put("ca.pem", pki.authority.pem());
        let change = mux.reload().await;
        let gone = mux.says_times(GONE, round + 1);
        change.brings("the end of its tunnel", gone).await;
        mux.says("no authority in --multiplexer-tls-client-ca signed")
            .await;
        let lost = goes.says("tunnel lost");
        change.brings("the end at the edge", lost).await;
    }
    was_not_cut(&stays);
}

/// Also where nobody was asked for one.
#[tokio::test]
async fn who_showed_no_certificate_is_cut_once_it_is_asked_for_one() {
    let pki = Pki::new("cut-none");
    let [certificate, key] = pki
        .authority
        .signs("127.0.0.1")
        .put(&pki.folder, "multiplexer");
    let tls = |ca: &str| {
        let text =
            format!("multiplexer: {{ tls: {{ certificate: {certificate}, key: {key}{ca} }} }}\n");
        pki.folder.put("server.yaml", text)
    };
    let mux = server(&[format!("--config={}", tls(""))]).await;
    let edge = edge(&mux, NOWHERE, &pki.trust());
    edge.says(" connected ").await;
    tls(&format!(", client-ca: {}", pki.ca));
    let change = mux.reload().await;
    let line = change.brings("the end of its tunnel", mux.says(GONE)).await;
    assert!(line.contains("shows no certificate"), "{line}");
    let lost = edge.says("tunnel lost");
    change.brings("the end at the edge", lost).await;
}

#[tokio::test]
async fn a_certificate_that_ends_takes_its_tunnel_along() {
    let pki = Pki::new("cut-end");
    let mux = server(&pki.mutual("multiplexer")).await;
    let end = SystemTime::now() + SHORT;
    let goes = named(
        &mux,
        &pki,
        "kitchen",
        &pki.authority.signs_until("bad.test", end),
        NOWHERE,
    );
    let stays = named(
        &mux,
        &pki,
        "rainbow",
        &pki.authority.signs("good.test"),
        NOWHERE,
    );
    for edge in [&goes, &stays] {
        edge.says(" connected ").await;
    }
    let line = mux.says(GONE).await;
    assert!((end..end + CUT).contains(&SystemTime::now()));
    assert!(
        line.contains("has expired") && line.contains("client_id=kitchen"),
        "{line}"
    );
    goes.says("tunnel lost").await;
    was_not_cut(&stays);
}

/// The edge shows the new one before the old one is taken back.
#[tokio::test]
async fn a_certificate_that_was_renewed_can_be_revoked_under_load_and_no_call_fails() {
    let pki = Pki::new("renewed");
    let backend = Backend::pong().await;
    let address = backend.address.to_string();
    let (options, _) = revoking(&pki, "multiplexer");
    let mux = server(&options).await;
    let old = pki.authority.signs("edge.test");
    let edge = edge(&mux, &address, &pki.edge(&old, "edge"));
    edge.says(" connected ").await;
    let load = Load::start(&mux).await;
    pki.authority.signs("edge.test").put(&pki.folder, "edge");
    edge.says("there is another certificate").await;
    edge.says("old tunnel closed").await;
    pki.folder.put("crl.pem", pki.authority.revokes(&[&old]));
    mux.reload().await;
    load.none_failed().await;
    edge.says_times(" connected ", 2).await;
    was_not_cut(&edge);
}

async fn caller(mux: &Mux, pki: &Pki, leaf: &Leaf) -> Caller {
    let tls = pki.authority.client(Some(leaf), &["h2"]);
    Caller::secure(mux.proxy, tls).await.unwrap()
}

/// What is under way is told, and then the connection ends; those of others go on.
#[tokio::test]
async fn a_caller_whose_certificate_is_revoked_calls_no_more() {
    let pki = Pki::new("cut-caller");
    let backend = Backend::half().await;
    let (options, _) = revoking(&pki, "proxy");
    let mux = server(&options).await;
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let [bad, good] = ["bad.test", "good.test"].map(|name| pki.authority.signs(name));
    let (goes, stays) = (
        caller(&mux, &pki, &bad).await,
        caller(&mux, &pki, &good).await,
    );
    let mut calls = Vec::new();
    for caller in [&goes, &stays] {
        let mut call = caller.start("/s/m", &[("client-id", "rainbow")]).await;
        call.bytes(4).await;
        calls.push(call);
    }
    let mut watch = goes.start(WATCH, &[]).await;
    watch.data(&[0; 5], true).await;
    watch.headers().await;

    pki.folder.put("crl.pem", pki.authority.revokes(&[&bad]));
    let revoked = Change::saved();
    let [cut, mut other] = <[_; 2]>::try_from(calls).ok().unwrap();
    for call in [cut, watch] {
        let answer = revoked.brings("the end of a call", call.answer()).await;
        answer.is_ours(7, "mux: not allowed any more", "revoked", "maybe");
    }
    mux.says("is revoked by --proxy-tls-client-crl").await;
    let closed = goes.closed();
    revoked.brings("the end of the connection", closed).await;
    other.data(b"", true).await;
    assert_eq!(other.answer().await.code(), Some(0));
    let again = pki.authority.client(Some(&bad), &["h2"]);
    // With TLS 1.3 it is told after the handshake.
    if let Ok(again) = Caller::secure(mux.proxy, again).await {
        within("the end of the connection", again.closed()).await;
    }
}

#[tokio::test]
async fn a_caller_whose_certificate_ends_calls_no_more() {
    let pki = Pki::new("end-caller");
    let backend = Backend::h2(async |mut call| call.wait_reset().await).await;
    let mux = server(&pki.mutual("proxy")).await;
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let end = SystemTime::now() + SHORT;
    let caller = caller(&mux, &pki, &pki.authority.signs_until("bad.test", end)).await;
    let call = caller.start("/s/m", &[("client-id", "rainbow")]).await;
    backend.calls(1).await;
    let answer = call.answer().await;
    answer.is_ours(7, "mux: not allowed any more", "revoked", "maybe");
    assert!((end..end + CUT).contains(&SystemTime::now()));
    mux.says("has expired").await;
    within("the end of the connection", caller.closed()).await;
}
