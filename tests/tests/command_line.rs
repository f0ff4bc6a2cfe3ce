//! What a user sees of both binaries: help, version, mistakes, addresses, the log.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

use std::io::{ErrorKind, Write as _};
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Output, Stdio};

use grpc_multiplexer_tests::{Caller, Edge, Mux, Process, command, within};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

const SERVER: &str = "grpc-multiplexer-server";
const EDGE: &str = "grpc-multiplexer-client";

/// Runs what ends by itself.
fn run(name: &str, args: &[&str]) -> Output {
    let mut command = command(name);
    command.args(args).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The addresses of a field such as `proxy_listener=127.0.0.1:1,[::1]:1`.
fn addresses(line: &str, field: &str) -> Vec<SocketAddr> {
    let value = line
        .split_whitespace()
        .find_map(|word| word.strip_prefix(field)?.strip_prefix('='));
    let value = value.unwrap_or_else(|| panic!("no {field} in {line:?}"));
    value.split(',').map(|a| a.parse().unwrap()).collect()
}

fn has_ipv6() -> bool {
    std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

#[test]
fn every_mistake_of_the_server_is_told_at_once() {
    let args = [
        "--proxy-listener",
        "nowhere",
        "--multiplexer-listener",
        "localhost:65536",
        "--admin-listener",
        "7612",
        "--drain-timeout",
        "5",
        "--reconnect-wait",
        "5",
        "--remember-edges",
        "long",
        "--warm-up",
        "-1s",
        "--max-tunnel-age",
        "9s",
        "--max-waiting-calls",
        "0",
        "--max-waiting-calls-per-edge",
        "many",
        "--replay-buffer",
        "64KB",
        "--log-level",
        "loud",
        "--log-format",
        "xml",
    ];
    let output = run(SERVER, &args);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    for pair in args.chunks(2) {
        let wanted = format!("flag {}: \"{}\": ", pair[0], pair[1]);
        assert!(said.contains(&wanted), "{wanted} is missing in\n{said}");
    }
}

#[test]
fn every_mistake_of_the_edge_is_told_at_once() {
    let args = [
        "--client-id",
        "-no id",
        "--multiplexer-address",
        "http://mux:1",
        "--grpc-server-address",
        "unix:relative",
        "--drain-timeout",
        "soon",
    ];
    let output = run(EDGE, &args);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    for pair in args.chunks(2) {
        let wanted = format!("flag {}: \"{}\": ", pair[0], pair[1]);
        assert!(said.contains(&wanted), "{wanted} is missing in\n{said}");
    }
}

#[test]
fn an_invalid_client_id_is_refused_before_anything_is_dialled() {
    for id in ["", "-a", "a b", "ä", "a/b", "a\nb", &"a".repeat(129)] {
        let output = run(EDGE, &["--client-id", id]);
        assert_eq!(output.status.code(), Some(2), "{id:?}");
        let said = text(&output.stderr);
        assert!(said.contains("--client-id"), "{said}");
        assert!(said.contains("letter or digit"), "{said}");
    }
}

#[test]
fn unknown_flags_and_repeated_ones_are_refused() {
    for args in [
        &["--no-such-flag"][..],
        &["--proxy-listener", ":0", "--proxy-listener", ":0"],
        &["--proxy-listener"],
        &["stray"],
    ] {
        let output = run(SERVER, args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn a_backend_ca_that_cannot_be_read_is_a_mistake() {
    let args = [
        "--grpc-server-address",
        "https://localhost:1",
        "--backend-ca",
        "/no/such/file.pem",
    ];
    let output = run(EDGE, &args);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("--backend-ca"), "{said}");
    assert!(said.contains("/no/such/file.pem"), "{said}");
}

/// What the help says of each flag, in its order: the flag's own line, then the lines below it as one.
fn help(name: &str, columns: &str) -> Vec<(String, String)> {
    let mut command = command(name);
    command.arg("--help").env("COLUMNS", columns);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stderr), "");
    let help = text(&output.stdout);
    let mut flags: Vec<(String, String)> = Vec::new();
    let options = help.lines().skip_while(|line| *line != "Options:").skip(1);
    for line in options.take_while(|line| line.starts_with("  ")) {
        assert!(line.chars().count() <= columns.parse().unwrap(), "{line:?}");
        match line.strip_prefix("          ") {
            Some(below) => {
                let (_, said) = flags.last_mut().unwrap();
                said.push_str(below.trim());
                said.push(' ');
            }
            None => flags.push((line.trim().to_owned(), String::new())),
        }
    }
    flags
}

#[test]
fn the_help_tells_every_option_with_meaning_default_key_and_variable() {
    let common = [
        ("tunnel-timeout", "<DURATION>", "[default: 20s] "),
        ("upgrade-socket", "<PATH>", ""),
        ("require-secure", "<BOOLEAN>", "[default: false] "),
        ("drain-timeout", "<DURATION>", "[default: 25s] "),
        ("log-level", "<LEVEL>", "[default: info] "),
        ("log-format", "<FORMAT>", "[default: pretty] "),
    ];
    for (name, own) in [
        (
            SERVER,
            &[
                (
                    "proxy-listener",
                    "<HOST:PORT>",
                    "[default: localhost:7592] ",
                ),
                ("proxy.tls.certificate", "<FILE>", ""),
                ("proxy.tls.key", "<FILE>", ""),
                ("proxy.tls.client-ca", "<FILE>", ""),
                ("proxy.tls.client-crl", "<FILE>", ""),
                ("callers-policy", "<FILE>", ""),
                (
                    "callers-token-metadata",
                    "<KEY>",
                    "[default: proxy-authorization] ",
                ),
                ("callers-jwt-issuer", "<ISSUER>", ""),
                ("callers-jwt-audience", "<AUDIENCE>", ""),
                ("callers-jwt-keys", "<FILE|URL>", ""),
                ("callers-jwt-keys-ca", "<FILE|system>", ""),
                (
                    "multiplexer-listener",
                    "<HOST:PORT>",
                    "[default: localhost:7602] ",
                ),
                ("multiplexer.tls.certificate", "<FILE>", ""),
                ("multiplexer.tls.key", "<FILE>", ""),
                ("multiplexer.tls.client-ca", "<FILE>", ""),
                ("multiplexer.tls.client-crl", "<FILE>", ""),
                ("edges-certificate-id", "<PATTERN>", ""),
                ("edges-tokens", "<FILE>", ""),
                ("edges-keys", "<FILE>", ""),
                ("edges-enrolment", "<FILE>", ""),
                ("edges-jwt-issuer", "<ISSUER>", ""),
                ("edges-jwt-audience", "<AUDIENCE>", ""),
                ("edges-jwt-keys", "<FILE|URL>", ""),
                ("edges-jwt-keys-ca", "<FILE|system>", ""),
                ("edges-jwt-claim", "<CLAIM>", "[default: sub] "),
                ("hooks-address", "<URL>", ""),
                ("hooks-url", "<URL>", ""),
                ("hooks-ca", "<FILE|system>", ""),
                ("hooks-crl", "<FILE>", ""),
                ("hooks-certificate", "<FILE>", ""),
                ("hooks-key", "<FILE>", ""),
                ("hooks-for", "<WHAT>", "[default: edges,events] "),
                ("hooks-timeout", "<DURATION>", "[default: 2s] "),
                ("hooks-on-failure", "<WHAT>", "[default: deny] "),
                ("hooks-send-tokens", "<BOOLEAN>", "[default: false] "),
                ("max-tunnel-age", "<DURATION>", "[default: 0] "),
                ("state-dir", "<FOLDER>", ""),
                (
                    "admin-listener",
                    "<HOST:PORT>",
                    "[default: 127.0.0.1:7612] ",
                ),
                ("admin.tls.certificate", "<FILE>", ""),
                ("admin.tls.key", "<FILE>", ""),
                ("admin.tls.client-ca", "<FILE>", ""),
                ("admin.tls.client-crl", "<FILE>", ""),
                ("operator-listener", "<HOST:PORT>", "[default: off] "),
                ("operator.tls.certificate", "<FILE>", ""),
                ("operator.tls.key", "<FILE>", ""),
                ("operator.tls.client-ca", "<FILE>", ""),
                ("operator.tls.client-crl", "<FILE>", ""),
                ("duplicate-client-id", "<WHAT>", "[default: reject] "),
                ("reconnect-wait", "<DURATION>", "[default: 5s] "),
                ("remember-edges", "<DURATION>", "[default: 24h] "),
                ("warm-up", "<DURATION>", "[default: 30s] "),
                ("max-waiting-calls", "<COUNT>", "[default: 10000] "),
                ("max-waiting-calls-per-edge", "<COUNT>", "[default: 1000] "),
                ("forwarded-headers", "<WHAT>", "[default: drop] "),
                ("replay-buffer", "<SIZE>", "[default: 64KiB] "),
                ("max-caller-connections", "<COUNT>", "[default: 10000] "),
                (
                    "max-caller-connections-per-address",
                    "<COUNT>",
                    "[default: 1000] ",
                ),
                ("max-calls-per-connection", "<COUNT>", "[default: 1000] "),
                ("max-metadata-size", "<SIZE>", "[default: 16KiB] "),
                ("max-metadata-entries", "<COUNT>", "[default: 100] "),
                ("handshake-timeout", "<DURATION>", "[default: 10s] "),
                ("max-handshakes", "<COUNT>", "[default: 512] "),
                ("max-tunnels", "<COUNT>", "[default: 10000] "),
                ("max-calls-per-edge", "<COUNT>", "[default: 4096] "),
                ("max-queued-calls-per-edge", "<COUNT>", "[default: 256] "),
                ("queue-timeout", "<DURATION>", "[default: 1s] "),
                ("max-calls", "<COUNT>", "[default: 20000] "),
                ("max-call-time", "<DURATION>", "[default: 0] "),
                ("memory-limit", "<SIZE|SHARE>", "[default: 60%] "),
                ("threads", "<COUNT|auto>", "[default: auto] "),
            ][..],
        ),
        (
            EDGE,
            &[
                ("client-id", "<ID>", ""),
                ("labels", "<KEY=VALUE>", ""),
                (
                    "multiplexer-address",
                    "<HOST:PORT>",
                    "[default: localhost:7602] ",
                ),
                ("multiplexer.tls.ca", "<FILE|system>", ""),
                ("multiplexer.tls.crl", "<FILE>", ""),
                ("multiplexer.tls.server-name", "<NAME>", ""),
                ("multiplexer.tls.certificate", "<FILE>", ""),
                ("multiplexer.tls.key", "<FILE>", ""),
                ("token-file", "<FILE>", ""),
                ("key-file", "<FILE>", ""),
                ("enrolment-token-file", "<FILE>", ""),
                (
                    "grpc-server-address",
                    "<ADDRESS>",
                    "[default: localhost:50051] ",
                ),
                ("backend-ca", "<FILE|system>", ""),
                ("backend-crl", "<FILE>", ""),
                ("backend-certificate", "<FILE>", ""),
                ("backend-key", "<FILE>", ""),
                ("backend-server-name", "<NAME>", ""),
                ("backend-authority", "<AUTHORITY>", ""),
                ("backend-mode", "<MODE>", "[default: splice] "),
                ("tunnel-protocol", "<PROTOCOL>", "[default: auto] "),
                ("tunnels", "<NUMBER>", "[default: 1] "),
                ("exit-on-superseded", "<BOOLEAN>", "[default: false] "),
                ("admin-listener", "<HOST:PORT>", "[default: off] "),
                ("admin.tls.certificate", "<FILE>", ""),
                ("admin.tls.key", "<FILE>", ""),
                ("admin.tls.client-ca", "<FILE>", ""),
                ("admin.tls.client-crl", "<FILE>", ""),
            ],
        ),
    ] {
        for columns in ["80", "100"] {
            let help = help(name, columns);
            let mut lines = help.iter();
            for (key, value, default) in own.iter().chain(&common) {
                let (flag, said) = lines.next().unwrap();
                // Each gives one.
                let name_of_flag = key.strip_prefix("labels").map_or(*key, |_| "label");
                assert_eq!(
                    flag,
                    &format!("--{} {value}", name_of_flag.replace('.', "-"))
                );
                let variable = format!("{name}_{key}")
                    .replace(['-', '.'], "_")
                    .to_uppercase();
                let key = key.replace('.', ": ");
                let wanted = format!(" {default}[key: {key}] [variable: {variable}] ");
                let meaning = said.strip_suffix(&wanted);
                let meaning = meaning.unwrap_or_else(|| panic!("no {wanted:?} in {said:?}"));
                assert!(meaning.split(' ').count() > 3, "{said}");
            }
            let rest: Vec<_> = lines.map(|(flag, _)| flag.as_str()).collect();
            let wanted = [
                "--config <FILE>",
                "--check-config",
                "--print-config",
                "-h, --help",
                "-V, --version",
            ];
            assert_eq!(rest, wanted);
        }
    }
}

#[test]
fn the_version_is_the_packages() {
    for name in [SERVER, EDGE] {
        let output = run(name, &["--version"]);
        assert_eq!(output.status.code(), Some(0));
        let wanted = format!("{name} {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(text(&output.stdout), wanted);
    }
}

#[tokio::test]
async fn a_port_in_use_names_its_flag() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    for (flag, free) in [
        ("--proxy-listener", "--multiplexer-listener"),
        ("--multiplexer-listener", "--proxy-listener"),
    ] {
        let output = run(SERVER, &[flag, &taken, free, "127.0.0.1:0"]);
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        assert!(said.contains(flag), "{said}");
        assert!(!said.contains(free), "{said}");
        assert!(said.contains(&taken), "{said}");
        assert!(said.contains("in use"), "{said}");
    }
}

/// A stderr that takes nothing more, and its other end, which nobody reads.
fn full() -> (Stdio, UnixStream) {
    let (mut stderr, unread) = UnixStream::pair().unwrap();
    stderr.set_nonblocking(true).unwrap();
    let error = loop {
        if let Err(error) = stderr.write_all(&[b'.'; 4096]) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    stderr.set_nonblocking(false).unwrap();
    (OwnedFd::from(stderr).into(), unread)
}

async fn code_when_full(mut command: Command) -> Option<i32> {
    let (stderr, _unread) = full();
    command.stderr(stderr).stdout(Stdio::null());
    let mut child = tokio::process::Command::from(command)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let ended = within("the end of a process", child.wait()).await;
    ended.unwrap().code()
}

#[tokio::test]
async fn who_cannot_start_ends_also_when_nobody_reads_why() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = taken.local_addr().unwrap();
    for (program, args, code) in [
        (SERVER, "--colour=red", 2),
        (EDGE, "--colour=red", 2),
        (SERVER, "--drain-timeout=1", 2),
        (EDGE, "--drain-timeout=1", 2),
        (SERVER, &format!("--proxy-listener={taken}"), 1),
    ] {
        let mut command = command(program);
        command.arg(args);
        let ended = code_when_full(command).await;
        assert_eq!(ended, Some(code), "{program} {args}");
    }
}

#[tokio::test]
async fn the_first_lines_have_the_version_and_the_real_addresses() {
    let mux = Mux::at("127.0.0.1:0", "127.0.0.1:0", &[]).await;
    let version = format!(" version={}", env!("CARGO_PKG_VERSION"));
    let line = mux.log().remove(0);
    assert!(
        line.ends_with(&format!(" no configuration file{version}")),
        "{line}"
    );
    let line = mux.log().remove(1);
    assert!(line.contains(&version), "{line}");
    assert_eq!(addresses(&line, "proxy_listener"), [mux.proxy]);
    assert_eq!(addresses(&line, "multiplexer_listener"), [mux.multiplexer]);
    assert_ne!(mux.proxy.port(), 0);
    TcpStream::connect(mux.proxy).await.unwrap();

    let edge = Edge::dialling(mux.multiplexer, "rainbow", "localhost:1", &[]);
    edge.says(" connected ").await;
    let line = edge.says(" starting ").await;
    assert!(line.contains(&version), "{line}");
    let server = format!("multiplexer_address={} ", mux.multiplexer);
    assert!(line.contains(&server), "{line}");
    assert!(line.contains("client_id=rainbow "), "{line}");
    assert!(line.ends_with("grpc_server_address=localhost:1"), "{line}");
}

#[tokio::test]
async fn localhost_listens_on_both_loopback_addresses_with_one_port() {
    let server = Process::start(
        SERVER,
        &[
            "--proxy-listener",
            "localhost:0",
            "--multiplexer-listener",
            "localhost:0",
        ],
    );
    let line = server.says(" listening ").await;
    for field in ["proxy_listener", "multiplexer_listener"] {
        let addresses = addresses(&line, field);
        assert_eq!(addresses.len(), 1 + usize::from(has_ipv6()), "{line}");
        assert_eq!(addresses[0].ip().to_string(), "127.0.0.1");
        for address in &addresses {
            assert_eq!(address.port(), addresses[0].port());
            TcpStream::connect(address).await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_ipv6_address_in_brackets_is_listened_on_and_dialled() {
    if !has_ipv6() {
        return;
    }
    let mux = Mux::at("[::1]:0", "[::1]:0", &[]).await;
    assert!(mux.proxy.is_ipv6());
    let edge = Edge::dialling(mux.multiplexer, "six", "[::1]:1", &[]);
    edge.says(" connected ").await;
    let caller = Caller::connect(mux.proxy).await;
    let answer = caller.call("/s/m", &[("client-id", "six")], b"").await;
    answer.is_ours(
        14,
        "mux: backend of edge 'six' unreachable (refused)",
        "backend-connect",
        "no",
    );
}

#[tokio::test]
async fn a_log_that_is_no_terminal_has_no_colours() {
    let mux = Mux::start().await;
    let edge = Edge::dialling(mux.multiplexer, "plain", "localhost:1", &[]);
    edge.says(" connected ").await;
    mux.says("client_id=plain ").await;
    edge.says("client_id=plain ").await;
    for line in mux.log().iter().chain(&edge.log()) {
        assert!(!line.contains('\u{1b}'), "{line:?}");
    }
}

#[tokio::test]
async fn the_json_log_is_one_object_per_line() {
    let server = Process::start(
        SERVER,
        &[
            "--proxy-listener",
            "127.0.0.1:0",
            "--multiplexer-listener",
            "127.0.0.1:0",
            "--log-format",
            "json",
        ],
    );
    let first: Value = serde_json::from_str(&server.says("listening").await).unwrap();
    assert_eq!(first["level"], "INFO");
    assert_eq!(first["message"], "listening");
    assert_eq!(first["version"], env!("CARGO_PKG_VERSION"));
    let address = first["multiplexer_listener"].as_str().unwrap();
    let edge = Edge::dialling(
        address.parse().unwrap(),
        "machine",
        "localhost:1",
        &["--log-format", "json"],
    );
    edge.says("connected").await;
    server.says("edge connected").await;
    server.signal("TERM");
    let stopped = server.says("stopped").await;
    let stopped: Value = serde_json::from_str(&stopped).unwrap();
    assert_eq!(stopped["calls"], 0);
    edge.says("tunnel lost").await;
    for line in server.log().iter().chain(&edge.log()) {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(event["message"].is_string() && event["timestamp"].is_string());
    }
}
