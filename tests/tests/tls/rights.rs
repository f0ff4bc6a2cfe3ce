//! Files that say who comes in are used only where not everybody can change them.

#![cfg(unix)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use grpc_multiplexer_tests::{KEYS, checked};

use crate::tunnel::is_refused;
use crate::{NOWHERE, Pki, edge, server};

const SERVER: &str = "grpc-multiplexer-server";
const EDGE: &str = "grpc-multiplexer-client";

fn everybody_may_change(file: &str) {
    fs::set_permissions(file, Permissions::from_mode(0o646)).unwrap();
}

#[test]
fn what_everybody_can_change_is_a_mistake_whatever_is_in_it() {
    let pki = Pki::new("rights");
    let file = pki.folder.put("file", "");
    everybody_may_change(&file);
    for (program, option) in [
        (SERVER, "edges-keys"),
        (SERVER, "edges-jwt-keys"),
        (SERVER, "multiplexer-tls-certificate"),
        (SERVER, "multiplexer-tls-client-ca"),
        (SERVER, "multiplexer-tls-client-crl"),
        (EDGE, "multiplexer-tls-ca"),
    ] {
        let mut given = vec![format!("--{option}={file}")];
        if option.contains("-client-") {
            given.extend(pki.listener("multiplexer"));
        }
        if option.ends_with("crl") {
            given.push(format!("--multiplexer-tls-client-ca={}", pki.ca));
        }
        let (code, said) = checked(program, &given);
        assert_eq!(code, Some(2), "{option}: {said}");
        let wanted = format!(
            "flag --{option}: {file:?}: other users can change this file (mode 646); run: chmod o-w {file}\n"
        );
        assert!(said.contains(&wanted), "{wanted}: {said}");
    }
}

/// Whoever can write there writes his key there.
#[tokio::test]
async fn keys_that_everybody_can_change_are_not_taken_while_it_runs() {
    let pki = Pki::new("rights-keys");
    let line = |key: usize| format!("rainbow {}\n", KEYS[key].public);
    let keys = pki.folder.put("edges", line(0));
    let options = [
        pki.listener("multiplexer"),
        vec![format!("--edges-keys={keys}")],
    ];
    let mux = server(&options.concat()).await;
    everybody_may_change(&keys);
    pki.folder.put("edges", line(1));
    mux.signal("HUP");
    mux.says(&format!("(mode 646); run: chmod o-w {keys}"))
        .await;
    mux.says("configuration not reloaded").await;
    let mut options = pki.trust();
    let theirs = pki.folder.put_secret("theirs", KEYS[1].private);
    options.push(format!("--key-file={theirs}"));
    let unknown = format!("--edges-keys does not have the key {}", KEYS[1].fingerprint);
    is_refused(&edge(&mux, NOWHERE, &options), &unknown).await;
    let ours = pki.folder.put_secret("ours", KEYS[0].private);
    options.pop();
    options.push(format!("--key-file={ours}"));
    edge(&mux, NOWHERE, &options).says(" connected ").await;
}
