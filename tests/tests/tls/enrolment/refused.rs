//! Edges that are not enrolled, and options that make no sense.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use grpc_multiplexer_process::SshPrivateKey;
use grpc_multiplexer_tests::{Folder, KEYS, Mux, Process, auth, checked, says_hello_from};
use grpc_multiplexer_tunnel::message::{Auth, Code, Refused};
use grpc_multiplexer_tunnel::{Channel, KEY_SCHEME};
use tokio::time::Instant;

use super::{dials, enrolled, enrols, has, state, takes};
use crate::exposure::OPEN;
use crate::tokens::{FIRST, SECOND, lines};
use crate::tunnel::is_refused;
use crate::{Pki, borrowed, server};

const SERVER: &str = "grpc-multiplexer-server";
const EDGE: &str = "grpc-multiplexer-client";

#[tokio::test]
async fn a_token_that_is_none_for_the_edge_is_told_so() {
    let folder = Folder::new("enrolment-wrong");
    let mux = server(&takes(&folder, &[(FIRST, "garden kitchen-*")])).await;
    let known = folder.put_secret("known", KEYS[0].private);
    for (options, said) in [
        (
            enrols(&folder, "unknown", SECOND[0]),
            "--edges-enrolment does not have the token in the edge's --enrolment-token-file",
        ),
        (
            // It is no token.
            enrols(&folder, "digest", FIRST[1]),
            "--edges-enrolment does not have the token in the edge's --enrolment-token-file",
        ),
        (
            enrols(&folder, "key", FIRST[0]),
            "'rainbow' is not among those that the edge's enrolment token grants: 'garden', 'kitchen-*'",
        ),
        (
            vec![format!("--key-file={known}")],
            "this server does not know the key SHA256:W4oz2jOmfOIezHU/tKZgyKpO5VuYMnwGyRalR8AlaOU",
        ),
        (
            Vec::new(),
            "this server takes edges by key: give the edge --key-file, and with it --enrolment-token-file",
        ),
    ] {
        is_refused(&dials(&mux, "rainbow", &options), said).await;
    }
    assert_eq!(enrolled(&folder), "");
    // None of that spent it, and the key that was made meanwhile is as good as another.
    let garden = dials(&mux, "garden", &enrols(&folder, "key", FIRST[0]));
    garden.says(" connected ").await;
    // A server that takes no tokens for keys, and knows that one.
    let keys = folder.put("keys", format!("rainbow {}\n", KEYS[0].public));
    let mux = Mux::with(&["--edges-keys", &keys]).await;
    let mut options = enrols(&folder, "unused", FIRST[0]);
    options[0] = format!("--key-file={known}");
    dials(&mux, "rainbow", &options).says(" connected ").await;
    let stranger = dials(&mux, "rainbow", &enrols(&folder, "key", FIRST[0]));
    is_refused(&stranger, "--edges-keys does not have the key").await;
}

/// What the key grants is what counts then, and the token is good for another.
#[tokio::test]
async fn a_token_that_comes_with_a_known_key_is_not_looked_at() {
    let folder = Folder::new("enrolment-known");
    let mut options = takes(&folder, &[(FIRST, "garden")]);
    let keys = folder.put("keys", format!("rainbow {}\n", KEYS[0].public));
    options.push(format!("--edges-keys={keys}"));
    let mux = server(&options).await;
    let mut options = enrols(&folder, "other", FIRST[0]);
    let known = folder.put_secret("known", KEYS[0].private);
    options[0] = format!("--key-file={known}");
    let said = "'garden' is not among those that the edge's key grants: 'rainbow'";
    is_refused(&dials(&mux, "garden", &options), said).await;
    dials(&mux, "rainbow", &options).says(" connected ").await;
    assert_eq!(enrolled(&folder), "");
    let garden = dials(&mux, "garden", &enrols(&folder, "key", FIRST[0]));
    garden.says(" connected ").await;
}

/// Found before anything listens.
#[tokio::test]
async fn a_server_that_can_keep_nothing_does_not_start() {
    let folder = Folder::new("enrolment-nowhere");
    folder.put("plain", "");
    let mut options = takes(&folder, &[(FIRST, "rainbow")]);
    options[1] = format!("--state-dir={}", folder.0.join("plain/state").display());
    let mut mux = Process::start(SERVER, &borrowed(&options));
    assert_eq!(mux.ended().await.code(), Some(2));
    mux.says("grpc-multiplexer-server cannot start").await;
    mux.says("plain is no folder; name another place").await;
    mux.never_said(" listening ");
}

/// Says who it is, and proves its key or does not.
async fn says(mux: &Mux, token: &str, proves: bool) -> Result<(), Refused> {
    let key: SshPrivateKey = KEYS[1].private.parse().unwrap();
    let auth = Auth {
        enrolment_token: token.into(),
        ..auth(KEY_SCHEME, key.public().bytes())
    };
    let prove = |nonce: &[u8]| {
        let signed = key.sign(&Channel::Plain.to_sign(nonce));
        Some(if proves { signed } else { vec![0; 64] })
    };
    says_hello_from(Ipv4Addr::LOCALHOST, mux, Some(auth), prove).await
}

#[tokio::test]
async fn who_guesses_is_answered_late_and_who_has_no_key_learns_nothing() {
    let folder = Folder::new("enrolment-guesses");
    let mux = server(&takes(&folder, &[(FIRST, "rainbow")])).await;
    let begun = Instant::now();
    let mut answers = Vec::new();
    for token in [FIRST[0], SECOND[0], ""] {
        answers.push(says(&mux, token, false).await.unwrap_err());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(enrolled(&folder), "");
    for _ in 0..3 {
        let answer = says(&mux, SECOND[0], true).await.unwrap_err();
        assert_eq!(answer.code(), Code::Unauthenticated);
    }
    assert!(begun.elapsed() >= Duration::from_secs(2));
    // Who is not enrolled for a reason of the server's is no guesser, and told when to come again.
    let place = folder.0.join("state/enrolled-edges.new");
    fs::create_dir(&place).unwrap();
    let answer = says(&mux, FIRST[0], true).await.unwrap_err();
    assert_eq!(answer.code(), Code::Limit);
    assert_eq!(answer.retry_after.map(|after| after.seconds), Some(5));
    fs::remove_dir(place).unwrap();
    assert_eq!(says(&mux, FIRST[0], true).await, Ok(()));
}

#[test]
fn every_mistake_about_enrolment_names_its_place() {
    let pki = Pki::new("enrolment-mistakes");
    let folder = &pki.folder;
    let files = AtomicUsize::new(0);
    let put = |text: &str| {
        let name = files.fetch_add(1, Ordering::Relaxed).to_string();
        folder.put_secret(&name, text)
    };
    let tokens = |text: &str| format!("--edges-enrolment={}", put(text));
    let right = || tokens(&lines(&[(FIRST, "rainbow")]));
    let token = || format!("--enrolment-token-file={}", put(FIRST[0]));
    let key = has(folder, "key");
    let plain = folder.put("plain", "");
    let wide = folder.0.join("wide");
    fs::create_dir(&wide).unwrap();
    let broken = folder.0.join("broken");
    fs::create_dir(&broken).unwrap();
    let only_ours = |path: &Path| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    };
    only_ours(&broken);
    folder.put("broken/enrolled-edges", "rainbow\n");
    let at = |path: &Path| format!("--state-dir={}", path.display());
    let far = "--multiplexer-address=mux.test:1".to_owned();
    for (program, options, said) in [
        (
            SERVER,
            vec![right()],
            "give --state-dir as well, with a folder where it is written down who enrolled",
        ),
        (
            SERVER,
            vec![tokens(FIRST[0]), state(folder)],
            "\": line 1: it must begin with the SHA-256 of a token",
        ),
        (
            SERVER,
            vec![right(), format!("--state-dir={plain}")],
            "this is no folder; name one",
        ),
        (SERVER, vec![right(), at(&wide)], "run: chmod 700"),
        (
            SERVER,
            vec![at(&broken)],
            "broken/enrolled-edges: line 1: it has no key",
        ),
        (
            EDGE,
            vec![token()],
            "give --key-file with the file where the edge's key is, or where it is to be made",
        ),
        (
            EDGE,
            vec![token(), key.clone(), far],
            "the token would go to mux.test:1 in plain text",
        ),
        (
            EDGE,
            vec![token(), key.clone(), "--tunnel-protocol=legacy".to_owned()],
            "the original's wire carries no token",
        ),
        (
            EDGE,
            vec![
                format!("--enrolment-token-file={}", put("short")),
                key.clone(),
            ],
            "the token has 5 characters",
        ),
        (
            EDGE,
            vec![token(), format!("--key-file={}", put("no key"))],
            "no private key in OpenSSH's format",
        ),
        // The key itself, where its file is to be named, is none that is to be made.
        (
            EDGE,
            vec![token(), format!("--key-file={}", KEYS[0].private)],
            "the file cannot be read",
        ),
        // Without a token no key is made.
        (EDGE, vec![key.clone()], "the file cannot be read"),
    ] {
        let (code, err) = checked(program, &options);
        assert_eq!(code, Some(2), "{options:?}: {err}");
        assert!(err.contains(said), "{said}: {err}");
        assert!(
            !err.contains(FIRST[0]) && !err.contains("b3BlbnNz"),
            "{err}"
        );
    }
    // Nothing is made by who only looks.
    assert_eq!(checked(EDGE, &[token(), key]), (Some(0), String::new()));
    assert_eq!(
        checked(SERVER, &[right(), state(folder)]),
        (Some(0), String::new())
    );
    assert!(!folder.0.join("key").exists() && !folder.0.join("state").exists());
    let (code, said) = checked(SERVER, &[tokens("# none\n"), state(folder)]);
    assert_eq!(code, Some(0));
    assert!(said.contains("so no edge can enrol with one"), "{said}");
    // With TLS it is enough to know who comes.
    let mut open = vec![
        right(),
        state(folder),
        "--multiplexer-listener=[::]:2".to_owned(),
    ];
    let wanted = "--multiplexer-listener [::]:2 (give --multiplexer-tls-certificate and --multiplexer-tls-key)";
    assert_eq!(
        checked(SERVER, &open),
        (Some(0), format!("warning: {OPEN}{wanted}\n"))
    );
    open.extend(pki.listener("multiplexer"));
    open.push("--require-secure=true".to_owned());
    assert_eq!(checked(SERVER, &open), (Some(0), String::new()));
}
