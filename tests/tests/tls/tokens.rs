//! Edges that show tokens, and have the client ids of those and no others.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use grpc_multiplexer_tests::{
    Backend, Edge, Folder, Load, Mux, TOKENS, Token, auth, checked, command, says_hello,
};
use grpc_multiplexer_tunnel::TOKEN_SCHEME;
use grpc_multiplexer_tunnel::message::Code;
use tokio::time::Instant;

use crate::exposure::OPEN;
use crate::tunnel::{is_reached, is_refused};
use crate::{NOWHERE, Pki, borrowed, edge, pong, server};

const SERVER: &str = "grpc-multiplexer-server";
const EDGE: &str = "grpc-multiplexer-client";

pub(crate) const FIRST: Token = TOKENS[0];
pub(crate) const SECOND: Token = TOKENS[1];
pub(crate) const KITCHENS: Token = TOKENS[2];

/// What the server's file says of some tokens.
pub(crate) fn lines(tokens: &[(Token, &str)]) -> String {
    let line = |([_, digest], ids): &(Token, &str)| format!("{digest} {ids}\n");
    let lines: String = tokens.iter().map(line).collect();
    format!("# Tokens of a test.\n\n{lines}")
}

/// The options of a server with TLS that takes these tokens.
pub(crate) fn takes(pki: &Pki, tokens: &[(Token, &str)]) -> Vec<String> {
    let file = pki.folder.put_secret("tokens", lines(tokens));
    let mut options = pki.listener("multiplexer");
    options.push(format!("--edges-tokens={file}"));
    options
}

/// The options of an edge that shows one.
pub(crate) fn shows(pki: &Pki, name: &str, token: &str) -> Vec<String> {
    let file = pki.folder.put_secret(name, format!("{token}\n"));
    let mut options = pki.trust();
    options.push(format!("--token-file={file}"));
    options
}

/// Both tokens of a pair have the same id, so that one can take the place of the other.
#[tokio::test]
async fn an_edge_has_the_ids_of_its_token() {
    let pki = Pki::new("token");
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
    for [token, digest] in [FIRST, SECOND] {
        let mut edge = edge(&mux, &backend, &shows(&pki, "token", token));
        edge.says(" connected ").await;
        is_reached(&mux).await;
        mux.says(&format!("token {}", &digest[..8])).await;
        edge.kill().await;
    }
    let options = shows(&pki, "token", KITCHENS[0]);
    let kitchen = Edge::dialling(mux.multiplexer, "kitchen-2", NOWHERE, &borrowed(&options));
    kitchen.says(" connected ").await;
}

#[tokio::test]
async fn an_edge_without_the_right_token_gets_no_tunnel() {
    let pki = Pki::new("wrong-token");
    let mux = server(&takes(
        &pki,
        &[(FIRST, "rain bow-*"), (KITCHENS, "kitchen")],
    ))
    .await;
    for (options, said) in [
        (
            pki.trust(),
            "this server takes edges by token: give the edge --token-file",
        ),
        (
            shows(&pki, "unknown", SECOND[0]),
            "--edges-tokens does not have the token in the edge's --token-file",
        ),
        (
            // It is no token.
            shows(&pki, "digest", FIRST[1]),
            "--edges-tokens does not have the token in the edge's --token-file",
        ),
        (
            shows(&pki, "other", FIRST[0]),
            "'rainbow' is not among those that the edge's token grants: 'rain', 'bow-*'",
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
    mux.says_times("this server takes edges by token", 2).await;
    assert!(mux.listed().await.is_empty());
}

/// Where both are asked for, either will do.
#[tokio::test]
async fn a_certificate_or_a_token_will_do() {
    let pki = Pki::new("either");
    let tokens = pki
        .folder
        .put_secret("tokens", lines(&[(FIRST, "rainbow")]));
    let mut options = pki.mutual("multiplexer");
    options.push(format!("--edges-tokens={tokens}"));
    options.push("--edges-certificate-id={id}.test".to_owned());
    let mux = server(&options).await;
    let named = pki.edge(&pki.authority.signs("rainbow.test"), "named");
    let other = pki.edge(&pki.authority.signs("kitchen.test"), "other");
    let token = &shows(&pki, "token", FIRST[0])[1..];
    for options in [&named, &[&other[..], token].concat()] {
        let mut edge = edge(&mux, NOWHERE, options);
        edge.says(" connected ").await;
        edge.kill().await;
    }
    is_refused(&edge(&mux, NOWHERE, &other), "the DNS name rainbow.test").await;
}

/// A server that asks for no token is not bothered by one: edges get theirs before it does.
#[tokio::test]
async fn a_token_that_nobody_asks_for_does_no_harm() {
    let pki = Pki::new("unasked");
    let mux = server(&pki.listener("multiplexer")).await;
    edge(&mux, NOWHERE, &shows(&pki, "token", FIRST[0]))
        .says(" connected ")
        .await;
    // In plain text on this machine, too.
    let mux = Mux::start().await;
    let token = &shows(&pki, "token", FIRST[0])[1..];
    edge(&mux, NOWHERE, token).says(" connected ").await;
}

/// A server that knows both tokens, edges that get the new one, and a server that forgets the old one.
#[tokio::test]
async fn tokens_change_under_load_and_no_call_fails() {
    let pki = Pki::new("token-rotation");
    let backend = Backend::pong().await;
    let address = backend.address.to_string();
    let mux = server(&takes(&pki, &[(FIRST, "*")])).await;
    let options = shows(&pki, "token", FIRST[0]);
    let first = edge(&mux, &address, &options);
    first.says(" connected ").await;
    let load = Load::start(&mux).await;
    let further = async |id: &str| {
        Edge::dialling(mux.multiplexer, id, &address, &borrowed(&options))
            .says(" connected ")
            .await;
    };
    pki.folder
        .put("tokens", lines(&[(FIRST, "*"), (SECOND, "*")]));
    mux.reload().await;
    further("both-tokens").await;
    pki.folder.put("token", SECOND[0]);
    first.reload().await;
    further("new-token").await;
    first.says_times(" connected ", 2).await;
    first.says("old tunnel closed").await;
    pki.folder.put("tokens", lines(&[(SECOND, "*")]));
    mux.reload().await;
    further("new-token-alone").await;
    load.none_failed().await;
    first.never_said("tunnel lost");
}

/// Both sides say everything that they ever say.
#[tokio::test]
async fn a_token_is_in_no_log() {
    const TRACE: [&str; 2] = ["--log-level", "trace"];
    let pki = Pki::new("token-marker");
    let (_backend, backend) = pong().await;
    let mut options = takes(&pki, &[(FIRST, "rainbow")]);
    options.extend(TRACE.map(str::to_owned));
    let mux = server(&options).await;
    let trace = |name: &str, token: &str| {
        let mut options = shows(&pki, name, token);
        options.extend(TRACE.map(str::to_owned));
        edge(&mux, &backend, &options)
    };
    let right = trace("right", FIRST[0]);
    right.says(" connected ").await;
    is_reached(&mux).await;
    let wrong = trace("wrong", SECOND[0]);
    wrong.says("does not have the token").await;
    // One that is where its hash should be, and one with a line too many.
    pki.folder.put("tokens", format!("{} rainbow\n", FIRST[0]));
    mux.says("line 1: it must begin with the SHA-256").await;
    pki.folder.put("right", format!("{0}\n{0}\n", FIRST[0]));
    right.says("a token is one word").await;
    for process in [&*mux, &*right, &*wrong] {
        for line in process.log() {
            for marker in [
                "first-token",
                "second-token",
                &FIRST[1][8..],
                &SECOND[1][8..],
            ] {
                assert!(!line.contains(marker), "{line}");
            }
        }
    }
}

#[tokio::test]
async fn who_guesses_is_answered_late_and_nobody_else_is() {
    let folder = Folder::new("guesses");
    let tokens = folder.put_secret("tokens", lines(&[(FIRST, "rainbow")]));
    let mux = Mux::with(&["--edges-tokens", &tokens]).await;
    let begun = Instant::now();
    let shows = async |auth| {
        let said = says_hello(&mux, auth).await;
        said.map_err(|refused| refused.code())
    };
    for wrong in [None, Some(""), Some(SECOND[0])] {
        for _ in 0..2 {
            let answer = shows(wrong.map(|token| auth(TOKEN_SCHEME, token))).await;
            assert_eq!(answer, Err(Code::Unauthenticated));
        }
    }
    assert!(begun.elapsed() >= Duration::from_secs(2));
    let unknown = auth("jwt", FIRST[0]);
    assert_eq!(shows(Some(unknown)).await, Err(Code::Unsupported));
    let known = auth(TOKEN_SCHEME, FIRST[0]);
    assert_eq!(shows(Some(known)).await, Ok(()));
}

#[test]
fn every_mistake_about_tokens_names_its_place() {
    let pki = Pki::new("token-mistakes");
    let files = AtomicUsize::new(0);
    let secret = |text: &str| {
        let name = files.fetch_add(1, Ordering::Relaxed).to_string();
        pki.folder.put_secret(&name, text)
    };
    let tokens = |text: &str| vec![format!("--edges-tokens={}", secret(text))];
    let token = |text: &str, further: &[&str]| {
        let mut options = vec![format!("--token-file={}", secret(text))];
        options.extend(further.iter().map(ToString::to_string));
        options
    };
    let readable = pki.folder.put("readable", FIRST[0]);
    let trust = format!("--multiplexer-tls-ca={}", pki.ca);
    let far = "--multiplexer-address=mux.test:1";
    for (program, options, said) in [
        (
            SERVER,
            tokens("\n\nfirst rainbow"),
            "\": line 3: it must begin with the SHA-256",
        ),
        (
            SERVER,
            tokens(FIRST[1]),
            "\": line 1: it names no client id",
        ),
        (
            SERVER,
            vec![format!("--edges-tokens={readable}")],
            "run: chmod 600",
        ),
        (
            SERVER,
            vec!["--edges-tokens=/nonexistent".to_owned()],
            "the file cannot be read",
        ),
        (
            EDGE,
            vec![format!("--token-file={readable}")],
            "run: chmod 600",
        ),
        (
            EDGE,
            token("short", &[]),
            "\": the token has 5 characters; it needs at least 32",
        ),
        (EDGE, token("", &[]), "\": the token has 0 characters"),
        (
            EDGE,
            token(FIRST[0], &[far]),
            "the token would go to mux.test:1 in plain text; give --multiplexer-tls-ca",
        ),
        (
            EDGE,
            token(FIRST[0], &[&trust, "--tunnel-protocol=legacy"]),
            "the original's wire carries no token",
        ),
    ] {
        let (code, err) = checked(program, &options);
        assert_eq!(code, Some(2), "{options:?}");
        assert!(err.contains(said), "{said}: {err}");
        assert!(!err.contains("first"), "{err}");
    }
    for options in [token(FIRST[0], &[far, &trust]), token(FIRST[0], &[])] {
        assert_eq!(checked(EDGE, &options), (Some(0), String::new()));
    }
}

#[tokio::test]
async fn a_new_token_is_a_file_for_the_edge_and_a_line_for_the_server() {
    let pki = Pki::new("new-token");
    let path = pki.folder.0.join("token");
    let file = path.to_str().unwrap();
    let new = |ids: &[&str]| {
        let mut command = command(SERVER);
        let output = command
            .args(["new-token", file])
            .args(ids)
            .output()
            .unwrap();
        let [out, err] =
            [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap());
        (output.status.code(), out, err)
    };
    for wrong in [&[][..], &["rain*bow"], &["rainbow", "-"]] {
        let (code, out, err) = new(wrong);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
        assert!(!path.exists());
    }
    let (code, line, err) = new(&["rainbow", "kitchen-*"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(line.ends_with(" rainbow kitchen-*\n"), "{line}");
    let token = fs::read_to_string(&path).unwrap();
    assert!(!line.contains(token.trim()) && token.len() == 65);
    // The file that is there stays.
    let (code, out, err) = new(&["rainbow"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains(file), "{err}");
    assert_eq!(fs::read_to_string(&path).unwrap(), token);

    let tokens = pki.folder.put_secret("tokens", line);
    let mux = Mux::with(&["--edges-tokens", &tokens]).await;
    let options = [format!("--token-file={file}")];
    edge(&mux, NOWHERE, &options).says(" connected ").await;
}

/// With TLS a token is enough to know who comes.
#[test]
fn a_listener_that_asks_for_tokens_is_open_only_without_tls() {
    let pki = Pki::new("token-open");
    let file = pki
        .folder
        .put_secret("tokens", lines(&[(FIRST, "rainbow")]));
    let tokens = [
        format!("--edges-tokens={file}"),
        "--multiplexer-listener=[::]:2".to_owned(),
    ];
    let (code, said) = checked(SERVER, &tokens);
    let wanted = "--multiplexer-listener [::]:2 (give --multiplexer-tls-certificate and --multiplexer-tls-key)";
    assert_eq!(
        (code, said),
        (Some(0), format!("warning: {OPEN}{wanted}\n"))
    );
    let secure = [
        &tokens[..],
        &pki.listener("multiplexer"),
        &["--require-secure=true".to_owned()],
    ];
    assert_eq!(checked(SERVER, &secure.concat()), (Some(0), String::new()));
    // Whoever has none cannot come: a file without a token is odd, and no mistake, or the last could not be taken out.
    let none = [format!(
        "--edges-tokens={}",
        pki.folder.put_secret("none", "# none\n")
    )];
    let (code, said) = checked(SERVER, &none);
    assert_eq!(code, Some(0));
    assert!(said.contains("no edge can show one"), "{said}");
}
