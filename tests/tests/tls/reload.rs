//! New files while the processes work.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use grpc_multiplexer_tests::{
    Authority, Backend, Caller, Edge, Folder, Leaf, Load, Mux, Process, until,
};
use rustls::AlertDescription;
use rustls::pki_types::CertificateDer;
use tokio::sync::watch;

use crate::backend::secure;
use crate::{NOWHERE, Pki, TUNNEL, connect, edge, ends, server};

const REFUSED: &str = "configuration not reloaded, everything stays as it was";

/// The certificate that a listener shows now.
async fn shown(pki: &Pki, address: SocketAddr) -> CertificateDer<'static> {
    let stream = connect(address, pki.authority.client(None, &[TUNNEL])).await;
    let stream = stream.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone()
}

async fn shows(pki: &Pki, address: SocketAddr, leaf: &Leaf) {
    until("the new certificate", async || {
        (shown(pki, address).await == leaf.der()).then_some(())
    })
    .await;
}

pub(crate) async fn taken(process: &Process, file: &str, times: usize) {
    process
        .says_times(&format!("file changed, and taken file={file}"), times)
        .await;
}

#[tokio::test]
async fn a_new_certificate_is_shown_without_a_word_and_at_sighup() {
    let pki = Pki::new("new");
    let first = pki.authority.signs("127.0.0.1");
    let mux = server(&pki.shows("multiplexer", &first)).await;
    assert_eq!(shown(&pki, mux.multiplexer).await, first.der());
    let second = pki.authority.signs("127.0.0.1");
    let [certificate, key] = second.put(&pki.folder, "multiplexer");
    shows(&pki, mux.multiplexer, &second).await;
    taken(&mux, &certificate, 1).await;
    taken(&mux, &key, 1).await;
    let third = pki.authority.signs("127.0.0.1");
    third.put(&pki.folder, "multiplexer");
    mux.reload().await;
    assert_eq!(shown(&pki, mux.multiplexer).await, third.der());
}

/// Each is named once, and what was in force stays until it is mended.
#[tokio::test]
async fn what_cannot_be_used_is_named_and_not_taken() {
    let pki = Pki::new("broken");
    let first = pki.authority.signs("127.0.0.1");
    let [certificate, key] = first.put(&pki.folder, "multiplexer");
    let mux = server(&pki.asks("multiplexer", &first)).await;
    let other = pki.authority.signs("127.0.0.1");
    let edge = edge(&mux, NOWHERE, &pki.edge(&first, "edge"));
    edge.says(" connected ").await;
    let half = |text: &str| text[..text.len() / 2].to_owned();
    let (whole, ca) = (&first.certificate, &pki.authority.pem());
    let mismatch = "is not the key of the certificate in";
    for (round, (file, wrong, right, why)) in [
        (&certificate, half(whole), whole, "ends within a section"),
        (&certificate, String::new(), whole, "is empty"),
        (
            &certificate,
            "nothing".to_owned(),
            whole,
            "no PEM certificate",
        ),
        (&certificate, other.certificate.clone(), whole, mismatch),
        (&key, half(&first.key), &first.key, "ends within a section"),
        (&key, other.key.clone(), &first.key, mismatch),
        (&key, String::new(), &first.key, "is empty"),
        (&pki.ca, half(ca), ca, "ends within a section"),
    ]
    .into_iter()
    .enumerate()
    {
        fs::write(file, wrong).unwrap();
        mux.signal("HUP");
        mux.says_times(REFUSED, round + 1).await;
        let said = mux.log();
        let named: Vec<_> = said.iter().filter(|line| line.contains("ERROR")).collect();
        assert_eq!(named.len(), 2 * round + 2, "{named:#?}");
        let line = named[2 * round];
        assert!(line.contains(why) && line.contains(".pem"), "{why}: {line}");
        assert!(!line.contains(first.key.lines().nth(1).unwrap()), "{line}");
        assert_eq!(shown_to(&pki, &mux, &first).await, first.der());
        fs::write(file, right).unwrap();
        mux.reload().await;
    }
    edge.never_said("tunnel lost");
}

#[tokio::test]
async fn what_is_half_written_is_named_once_and_taken_when_it_is_whole() {
    let pki = Pki::new("half");
    let first = pki.authority.signs("127.0.0.1");
    let mux = server(&pki.shows("multiplexer", &first)).await;
    let second = pki.authority.signs("127.0.0.1");
    let half = &second.certificate[..second.certificate.len() / 2];
    let certificate = pki.folder.put("multiplexer.pem", half);
    mux.says(&format!("{certificate:?}: this is no whole PEM text"))
        .await;
    mux.says(REFUSED).await;
    assert_eq!(shown(&pki, mux.multiplexer).await, first.der());
    second.put(&pki.folder, "multiplexer");
    shows(&pki, mux.multiplexer, &second).await;
    assert_eq!(errors(&mux), 2, "it is told once");
}

#[tokio::test]
async fn what_is_gone_or_for_others_to_read_is_named_once_and_taken_when_it_is_right() {
    let pki = Pki::new("gone");
    let leaf = pki.authority.signs("127.0.0.1");
    let mux = server(&pki.shows("multiplexer", &leaf)).await;
    let key = pki.folder.0.join("multiplexer-key.pem");
    let key = key.display().to_string();
    fs::remove_file(&key).unwrap();
    mux.says("the file cannot be read: No such file").await;
    pki.folder.put("multiplexer-key.pem", &leaf.key);
    mux.says(&format!("run: chmod 600 {key}")).await;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    taken(&mux, &key, 1).await;
    assert_eq!(shown(&pki, mux.multiplexer).await, leaf.der());
    assert_eq!(errors(&mux), 4, "each is told once");
}

fn errors(mux: &Mux) -> usize {
    let log = mux.log();
    log.iter().filter(|line| line.contains("ERROR")).count()
}

/// The same to somebody with a certificate.
async fn shown_to(pki: &Pki, mux: &Mux, leaf: &Leaf) -> CertificateDer<'static> {
    let tls = pki.authority.client(Some(leaf), &[TUNNEL]);
    let stream = connect(mux.multiplexer, tls).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone()
}

#[tokio::test]
async fn whose_certificate_was_revoked_gets_no_further_tunnel() {
    let pki = Pki::new("revoked");
    let leaf = pki.authority.signs("edge.test");
    let list = pki.folder.put("crl.pem", pki.authority.revokes(&[]));
    let mut options = pki.mutual("multiplexer");
    options.push(format!("--multiplexer-tls-client-crl={list}"));
    let mux = server(&options).await;
    let options = pki.edge(&leaf, "edge");
    let mut first = edge(&mux, NOWHERE, &options);
    first.says(" connected ").await;
    pki.folder.put("crl.pem", pki.authority.revokes(&[&leaf]));
    mux.reload().await;
    first.kill().await;
    let second = edge(&mux, NOWHERE, &options);
    second.says("(it is revoked)").await;
}

/// Both sides get a new authority and then certificates of it, as it is done where nobody may be left out; in between each
/// way back is tried by a further edge.
#[tokio::test]
async fn authorities_and_certificates_change_under_load_and_no_call_fails() {
    let pki = Pki::new("rotation");
    let backend = Backend::pong().await;
    let address = backend.address.to_string();
    let mux = server(&pki.mutual("multiplexer")).await;
    let options = pki.edge(&pki.authority.signs("edge.test"), "edge");
    let first = edge(&mux, &address, &options);
    first.says(" connected ").await;
    let load = Load::start(&mux).await;
    let further = async |id: &str| {
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        Edge::dialling(mux.multiplexer, id, &address, &options)
            .says(" connected ")
            .await;
    };

    let reload = async || {
        mux.reload().await;
        first.reload().await;
    };

    let new = Authority::new("new");
    pki.folder
        .put("ca.pem", [pki.authority.pem(), new.pem()].concat());
    reload().await;
    further("both-authorities").await;

    new.signs("127.0.0.1").put(&pki.folder, "multiplexer");
    new.signs("edge.test").put(&pki.folder, "edge");
    reload().await;
    further("new-certificates").await;

    pki.folder.put("ca.pem", new.pem());
    reload().await;
    further("new-authority").await;

    load.none_failed().await;
    first.never_said("tunnel lost");
}

/// Connections that are there go on, and each new one is with what is in force then: of callers, and of edges to their backend.
#[tokio::test]
async fn what_callers_and_backends_show_and_trust_changes_under_load_and_no_call_fails() {
    let pki = Pki::new("callers-rotation");
    let (old, new) = (&pki.authority, Authority::new("new"));
    let both = [old.pem(), new.pem()].concat();
    let shown = old.signs("127.0.0.1").server(None, &["h2"]);
    let (shown, config) = watch::channel(Arc::new(shown));
    let (_backend, front) = secure(config).await;
    let https = format!("https://{}", front.address);
    let mux = server(&pki.mutual("proxy")).await;
    let backend_ca = pki.folder.put("backend-ca.pem", old.pem());
    let backend_ca = [format!("--backend-ca={backend_ca}")];
    let first = edge(&mux, &https, &backend_ca);
    first.says(" connected ").await;
    let of = |authority: &Authority| {
        let leaf = authority.signs("caller.test");
        authority.client(Some(&leaf), &["h2"])
    };
    let load = Load::secure(&mux, &of(old)).await;
    let reload = async || {
        mux.reload().await;
        first.reload().await;
    };
    // An edge that dials the backend anew, and a caller that dials the proxy anew.
    let further = async |id: &str, authority: &Authority| {
        let backend_ca: Vec<_> = backend_ca.iter().map(String::as_str).collect();
        let edge = Edge::dialling(mux.multiplexer, id, &https, &backend_ca);
        edge.says(" connected ").await;
        let caller = Caller::secure(mux.proxy, of(authority)).await.unwrap();
        let answer = caller.call("/s/m", &[("client-id", id)], b"").await;
        assert_eq!(answer.body, b"pong", "{answer:?}");
    };

    for file in ["ca.pem", "backend-ca.pem"] {
        pki.folder.put(file, &both);
    }
    reload().await;
    further("both-authorities", old).await;

    new.signs("127.0.0.1").put(&pki.folder, "proxy");
    shown.send_replace(Arc::new(new.signs("127.0.0.1").server(None, &["h2"])));
    reload().await;
    further("new-certificates", &new).await;
    let anew = Load::secure(&mux, &of(&new)).await;
    load.none_failed().await;

    for file in ["ca.pem", "backend-ca.pem"] {
        pki.folder.put(file, new.pem());
    }
    reload().await;
    further("new-authority", &new).await;
    anew.none_failed().await;
    // Who is let in by the old one alone is not.
    let leaf = old.signs("caller.test");
    let stranger = connect(mux.proxy, new.client(Some(&leaf), &["h2"])).await;
    assert_eq!(
        ends(stranger.unwrap()).await,
        Some(AlertDescription::UnknownCA)
    );
}

/// A new process takes over with the files as they are then, and no call fails.
#[tokio::test]
async fn a_new_process_takes_over_with_tls_on() {
    let pki = Pki::new("upgrade");
    let backend = Backend::pong().await;
    let address = backend.address.to_string();
    let sockets = Folder::new("upgrade");
    let mut options = pki.mutual("multiplexer");
    let socket = sockets.0.join("s").display().to_string();
    options.push(format!("--upgrade-socket={socket}"));
    let mut old = server(&options).await;
    old.says("a new process may take over").await;
    let edge = edge(
        &old,
        &address,
        &pki.edge(&pki.authority.signs("e.test"), "edge"),
    );
    edge.says(" connected ").await;
    let renewed = pki.authority.signs("127.0.0.1");
    renewed.put(&pki.folder, "multiplexer");
    let [proxy, multiplexer] = [old.proxy, old.multiplexer].map(|at| at.to_string());
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let new = Mux::at(&proxy, &multiplexer, &options).await;
    new.says("took over from the process before").await;
    assert!(old.ended().await.success());
    let caller = Caller::connect(new.proxy).await;
    let answer = caller.call("/s/m", &[("client-id", "rainbow")], b"x").await;
    assert_eq!(answer.body, b"pong", "{answer:?}");
    edge.says_times(" connected ", 2).await;
}
