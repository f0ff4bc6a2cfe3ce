//! Edges that prove that they have keys, and have the client ids of those and no others.

mod forged;

use std::sync::atomic::{AtomicUsize, Ordering};

use grpc_multiplexer_tests::{Backend, Caller, Change, Edge, KEYS, KeyFiles, Load, Mux, checked};

use crate::exposure::OPEN;
use crate::tunnel::{is_reached, is_refused};
use crate::{NOWHERE, Pki, borrowed, edge, pong, server, tokens};

const SERVER: &str = "grpc-multiplexer-server";
const EDGE: &str = "grpc-multiplexer-client";
const FIRST: &KeyFiles = &KEYS[0];
const SECOND: &KeyFiles = &KEYS[1];
const KITCHENS: &KeyFiles = &KEYS[2];
/// By `ssh-keygen -t ed25519 -N secret`.
const ENCRYPTED: &str = include_str!("../../../process/src/openssh/keys/encrypted");

/// What the server's file says of some keys.
fn lines(keys: &[(&KeyFiles, &str)]) -> String {
    let line = |(key, ids): &(&KeyFiles, &str)| format!("{ids} {}\n", key.public);
    let lines: String = keys.iter().map(line).collect();
    format!("# Keys of a test.\n\n{lines}")
}

/// The options of a server with TLS that takes these keys.
fn takes(pki: &Pki, keys: &[(&KeyFiles, &str)]) -> Vec<String> {
    let file = pki.folder.put("authorized-edges", lines(keys));
    let mut options = pki.listener("multiplexer");
    options.push(format!("--edges-keys={file}"));
    options
}

/// The options of an edge that has one.
fn has(pki: &Pki, name: &str, key: &KeyFiles) -> Vec<String> {
    let file = pki.folder.put_secret(name, key.private);
    let mut options = pki.trust();
    options.push(format!("--key-file={file}"));
    options
}

/// Two keys have the same id, so that one can take the place of the other.
#[tokio::test]
async fn an_edge_has_the_ids_of_its_key() {
    let pki = Pki::new("key");
    let (_backend, backend) = pong().await;
    let mux = server(&takes(
        &pki,
        &[
            (FIRST, "rainbow"),
            (SECOND, "garden rainbow"),
            (KITCHENS, "kitchen-*"),
        ],
    ))
    .await;
    for key in [FIRST, SECOND] {
        let mut edge = edge(&mux, &backend, &has(&pki, "key", key));
        edge.says(" connected ").await;
        is_reached(&mux).await;
        mux.says(&format!("key {}", key.fingerprint)).await;
        edge.kill().await;
    }
    let options = has(&pki, "key", KITCHENS);
    let kitchen = Edge::dialling(mux.multiplexer, "kitchen-2", NOWHERE, &borrowed(&options));
    kitchen.says(" connected ").await;
}

/// There is nothing in plain text that a proof could be bound to; that it is the edge's is proven all the same.
#[tokio::test]
async fn an_edge_proves_its_key_in_plain_text_too() {
    let pki = Pki::new("plain-key");
    let keys = takes(&pki, &[(FIRST, "rainbow")]).pop().unwrap();
    let mux = Mux::with(&[&keys]).await;
    for (key, said) in [(FIRST, " connected "), (SECOND, "does not have the key")] {
        let key = has(&pki, "key", key).pop().unwrap();
        edge(&mux, NOWHERE, &[key]).says(said).await;
    }
}

#[tokio::test]
async fn an_edge_without_the_right_key_gets_no_tunnel() {
    let pki = Pki::new("wrong-key");
    let mux = server(&takes(
        &pki,
        &[(FIRST, "rain bow-*"), (KITCHENS, "kitchen")],
    ))
    .await;
    let unknown = format!("--edges-keys does not have the key {}", SECOND.fingerprint);
    for (options, said) in [
        (
            pki.trust(),
            "this server takes edges by key: give the edge --key-file",
        ),
        (
            tokens::shows(&pki, "token", tokens::FIRST[0]),
            "this server takes edges by key: give the edge --key-file",
        ),
        (has(&pki, "unknown", SECOND), &unknown),
        (
            has(&pki, "other", FIRST),
            "'rainbow' is not among those that the edge's key grants: 'rain', 'bow-*'",
        ),
    ] {
        is_refused(&edge(&mux, NOWHERE, &options), said).await;
        let line = mux.says(said).await;
        assert!(
            line.contains("edge refused") && line.contains("from 127.0.0.1"),
            "{line}"
        );
    }
    let legacy = [&pki.trust()[..], &["--tunnel-protocol=legacy".to_owned()]].concat();
    edge(&mux, NOWHERE, &legacy)
        .says("or this one may not")
        .await;
    mux.says_times("this server takes edges by key", 3).await;
    assert!(mux.listed().await.is_empty());
}

/// Where several are asked for, either will do.
#[tokio::test]
async fn a_key_or_a_token_will_do() {
    let pki = Pki::new("key-or-token");
    let mut options = takes(&pki, &[(FIRST, "rainbow")]);
    options.extend(tokens::takes(&pki, &[(tokens::FIRST, "rainbow")]).pop());
    let mux = server(&options).await;
    for options in [
        has(&pki, "key", FIRST),
        tokens::shows(&pki, "token", tokens::FIRST[0]),
    ] {
        let mut edge = edge(&mux, NOWHERE, &options);
        edge.says(" connected ").await;
        edge.kill().await;
    }
    let unknown = edge(&mux, NOWHERE, &has(&pki, "unknown", SECOND));
    is_refused(&unknown, "does not have the key").await;
}

/// Edges get their keys before the server asks for them, and keep their tunnels when it does.
#[tokio::test]
async fn a_key_that_nobody_asks_for_is_proven_and_stays_good() {
    let pki = Pki::new("unasked-key");
    let write = |text: &str| pki.folder.put("server.yaml", text);
    let mut options = pki.listener("multiplexer");
    options.push(format!("--config={}", write("{}")));
    let mux = server(&options).await;
    let (first, second) = (has(&pki, "first", FIRST), has(&pki, "second", SECOND));
    let rainbow = edge(&mux, NOWHERE, &first);
    let kitchen = Edge::dialling(mux.multiplexer, "kitchen", NOWHERE, &borrowed(&second));
    for edge in [&rainbow, &kitchen] {
        edge.says(" connected ").await;
    }
    let keys = pki
        .folder
        .put("authorized-edges", lines(&[(FIRST, "rainbow")]));
    write(&format!("edges-keys: {keys}\n"));
    let change = mux.reload().await;
    let lost = kitchen.says("tunnel lost");
    change.brings("the end of its tunnel", lost).await;
    assert_eq!(mux.listed().await, ["rainbow"]);
    rainbow.never_said("tunnel lost");
}

/// With the call that is on it.
#[tokio::test]
async fn a_key_that_is_taken_out_takes_its_tunnel_along_and_no_other() {
    let pki = Pki::new("key-out");
    let (_backend, backend) = pong().await;
    let hanging = Backend::h2(async |mut call| call.read_all().await).await;
    let keys = [(FIRST, "kitchen rainbow"), (SECOND, "rainbow")];
    let mux = server(&takes(&pki, &keys)).await;
    let options = has(&pki, "kitchen", FIRST);
    let address = hanging.address.to_string();
    let kitchen = Edge::dialling(mux.multiplexer, "kitchen", &address, &borrowed(&options));
    let rainbow = edge(&mux, &backend, &has(&pki, "rainbow", SECOND));
    for edge in [&kitchen, &rainbow] {
        edge.says(" connected ").await;
    }
    let caller = Caller::connect(mux.proxy).await;
    let call = caller.start("/s/m", &[("client-id", "kitchen")]).await;
    hanging.calls(1).await;

    // Without a word to the server.
    pki.folder.put("authorized-edges", lines(&keys[1..]));
    let (change, why) = (Change::saved(), "does not have the key");
    let gone = mux.says("edge lost its right to the tunnel");
    let line = change.brings("the end of its tunnel", gone).await;
    assert!(
        line.contains("client_id=kitchen") && line.contains(why),
        "{line}"
    );
    // Texts are in the log as they are.
    let line = mux.says("edge disconnected").await;
    assert!(line.contains("which is in the edge's --key-file"), "{line}");
    let answer = change.brings("the end of its call", call.answer()).await;
    assert_eq!(answer.code(), Some(14));
    assert!(kitchen.says("tunnel lost").await.contains(why));
    let line = kitchen
        .says("no tunnel, and none until this is mended")
        .await;
    assert!(line.contains(why), "{line}");
    is_reached(&mux).await;
    rainbow.never_said("tunnel lost");
    assert_eq!(mux.listed().await, ["rainbow"]);
}

/// A server that knows both keys, an edge that gets the new one, and a server that forgets the old one.
#[tokio::test]
async fn keys_change_under_load_and_no_call_fails() {
    let pki = Pki::new("key-rotation");
    let backend = Backend::pong().await;
    let mux = server(&takes(&pki, &[(FIRST, "rainbow"), (SECOND, "rainbow")])).await;
    let address = backend.address.to_string();
    let edge = edge(&mux, &address, &has(&pki, "key", FIRST));
    edge.says(" connected ").await;
    let load = Load::start(&mux).await;
    pki.folder.put("key", SECOND.private);
    edge.reload().await;
    edge.says_times(" connected ", 2).await;
    edge.says("old tunnel closed").await;
    pki.folder
        .put("authorized-edges", lines(&[(SECOND, "rainbow")]));
    mux.reload().await;
    load.none_failed().await;
    edge.never_said("tunnel lost");
}

#[test]
fn every_mistake_about_keys_names_its_place() {
    let pki = Pki::new("key-mistakes");
    let files = AtomicUsize::new(0);
    let secret = |text: &str| {
        let name = files.fetch_add(1, Ordering::Relaxed).to_string();
        pki.folder.put_secret(&name, text)
    };
    let keys = |text: &str| vec![format!("--edges-keys={}", secret(text))];
    let key = |text: &str, further: &[&str]| {
        let mut options = vec![format!("--key-file={}", secret(text))];
        options.extend(further.iter().map(ToString::to_string));
        options
    };
    let readable = pki.folder.put("readable", FIRST.private);
    let token = tokens::shows(&pki, "token", tokens::FIRST[0])
        .pop()
        .unwrap();
    for (program, options, said) in [
        (
            SERVER,
            keys(&format!("\n\n{}", FIRST.public)),
            "\": line 3: it names no client id; write those that the key grants in front of the key",
        ),
        (
            SERVER,
            keys(&format!("rain@bow {}", FIRST.public)),
            "\": line 1: the word number 1 is no client id",
        ),
        (
            SERVER,
            keys("rainbow ssh-rsa AAAAB3NzaC1yc2E"),
            "\": line 1: its key is of another kind than ssh-ed25519",
        ),
        (
            SERVER,
            vec!["--edges-keys=/nonexistent".to_owned()],
            "the file cannot be read",
        ),
        (
            EDGE,
            vec![format!("--key-file={readable}")],
            "run: chmod 600",
        ),
        (
            EDGE,
            key("", &[]),
            "\": this is no private key in OpenSSH's format",
        ),
        (
            EDGE,
            key(FIRST.public, &[]),
            "\": this is a public key; the private one is in",
        ),
        (
            EDGE,
            key(ENCRYPTED, &[]),
            "\": the key has a passphrase, which nobody is there to type; take it off by: ssh-keygen -p",
        ),
        (
            EDGE,
            key(&FIRST.private[..200], &[]),
            "\": the key is not whole",
        ),
        (
            EDGE,
            key(FIRST.private, &[&token]),
            "an edge shows a key or a token, not both; leave out --key-file or --token-file",
        ),
        (
            EDGE,
            key(FIRST.private, &["--tunnel-protocol=legacy"]),
            "the original's wire carries no key",
        ),
    ] {
        let (code, err) = checked(program, &options);
        assert_eq!(code, Some(2), "{options:?}: {err}");
        assert!(err.contains(said), "{said}: {err}");
        assert!(!err.contains("b3BlbnNz"), "{err}");
    }
    assert_eq!(
        checked(EDGE, &key(FIRST.private, &[])),
        (Some(0), String::new())
    );
    let (code, said) = checked(SERVER, &keys("# none\n"));
    assert_eq!(code, Some(0));
    assert!(said.contains("so no edge can have one"), "{said}");
}

/// With TLS a key is enough to know who comes.
#[test]
fn a_listener_that_asks_for_keys_is_open_only_without_tls() {
    let pki = Pki::new("key-open");
    let mut options = takes(&pki, &[(FIRST, "rainbow")]);
    options.push("--multiplexer-listener=[::]:2".to_owned());
    let secure = [&options[..], &["--require-secure=true".to_owned()]].concat();
    assert_eq!(checked(SERVER, &secure), (Some(0), String::new()));
    let plain = options.split_off(options.len() - 2);
    let wanted = "--multiplexer-listener [::]:2 (give --multiplexer-tls-certificate and --multiplexer-tls-key)";
    assert_eq!(
        checked(SERVER, &plain),
        (Some(0), format!("warning: {OPEN}{wanted}\n"))
    );
}
