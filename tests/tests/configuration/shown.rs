//! `--check-config` and `--print-config`, and what is only warned of.

use std::net::TcpListener;

use grpc_multiplexer_tests::{Folder, Process};

use crate::{EDGE, SERVER, printed, run, with};

#[tokio::test]
async fn a_check_says_what_was_read_and_starts_nothing() {
    let folder = Folder::new("check");
    // Taken, so a start would fail.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let text = format!("proxy-listener: {}\n", taken.local_addr().unwrap());
    let file = folder.put("server.yaml", text);
    let mut command = with(
        SERVER,
        &["--check-config", "--config", &file, "--log-level", "debug"],
    );
    command.env("GRPC_MULTIPLEXER_SERVER_LOG_FORMAT", "json");
    let said = run(command).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert_eq!(
        said.out,
        format!("{SERVER}: no mistakes; read: {file}, 1 variable, 1 flag\n")
    );

    let said = run(with(EDGE, &["--check-config"])).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert_eq!(
        said.out,
        "grpc-multiplexer-client: no mistakes; read: no configuration file, 0 variables, 0 flags\n"
    );
}

#[tokio::test]
async fn mistakes_are_told_in_place_of_what_was_asked_for() {
    for asked in ["--check-config", "--print-config"] {
        let said = run(with(SERVER, &[asked, "--log-level", "loud"])).await;
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
        assert!(
            said.err.contains("flag --log-level: \"loud\": expected "),
            "{said:?}"
        );
    }
    let said = run(with(SERVER, &["--check-config", "--print-config"])).await;
    assert_eq!(said.code, Some(2));
}

#[tokio::test]
async fn what_is_printed_is_a_file_that_gives_the_same_options() {
    let folder = Folder::new("again");
    let odd = "a:1\\\"# ä";
    for command in [
        with(
            SERVER,
            &["--proxy-listener", "a:1", "--log-level", "warning"],
        ),
        with(
            EDGE,
            &[
                "--client-id=0123",
                "--label=team=red",
                "--label=example.org/zone=0123",
                "--multiplexer-address=a:1",
                "--multiplexer-address=b:2",
                "--grpc-server-address=https://c:3",
                "--backend-server-name=d.test",
            ],
        ),
    ] {
        let program = command
            .get_program()
            .to_str()
            .unwrap()
            .rsplit('/')
            .next()
            .unwrap()
            .to_owned();
        let first = printed(command).await;
        let file = folder.put(odd, &first);
        let second = printed(with(&program, &["--config", &file])).await;
        let values = |text: &str| -> Vec<String> {
            let value = |line: &str| line.split("  # ").next().unwrap().to_owned();
            text.lines().map(value).collect()
        };
        assert_eq!(values(&first), values(&second));
    }
}

/// The text is pinned, as people and scripts read it.
#[tokio::test]
async fn the_options_in_force_are_printed_with_their_sources() {
    let folder = Folder::new("print");
    let file = folder.put("client.yaml", "client-id: no\n");
    let mut command = with(EDGE, &["--config", &file, "--multiplexer-address", "a:1"]);
    command.env("GRPC_MULTIPLEXER_CLIENT_DRAIN_TIMEOUT", "5s");
    let wanted = format!(
        "\
# The options of grpc-multiplexer-client {} in force.
client-id: \"no\"  # FILE:1:12
# labels: not set
multiplexer-address:
  - \"a:1\"  # flag --multiplexer-address
# multiplexer: tls: ca: not set
# multiplexer: tls: crl: not set
# multiplexer: tls: server-name: not set
# multiplexer: tls: certificate: not set
# multiplexer: tls: key: not set
# token-file: not set
# key-file: not set
# enrolment-token-file: not set
grpc-server-address: \"localhost:50051\"  # default
# backend-ca: not set
# backend-crl: not set
# backend-certificate: not set
# backend-key: not set
# backend-server-name: not set
# backend-authority: not set
backend-mode: \"splice\"  # default
tunnel-protocol: \"auto\"  # default
tunnels: \"1\"  # default
exit-on-superseded: \"false\"  # default
admin-listener: \"off\"  # default
# admin: tls: certificate: not set
# admin: tls: key: not set
# admin: tls: client-ca: not set
# admin: tls: client-crl: not set
tunnel-timeout: \"20s\"  # default
# upgrade-socket: not set
require-secure: \"false\"  # default
drain-timeout: \"5s\"  # variable GRPC_MULTIPLEXER_CLIENT_DRAIN_TIMEOUT
log-level: \"info\"  # default
log-format: \"pretty\"  # default
",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(printed(command).await.replace(&file, "FILE"), wanted);
}

#[tokio::test]
async fn an_unknown_variable_is_warned_of_unless_kubernetes_sets_it() {
    let set = |asked: &[&str]| {
        let mut command = with(SERVER, asked);
        command.env("GRPC_MULTIPLEXER_SERVER_LOGLEVEL", "debug");
        for of_kubernetes in [
            "SERVICE_HOST",
            "SERVICE_PORT",
            "SERVICE_PORT_PROXY",
            "PORT",
            "PORT_7592_TCP_ADDR",
        ] {
            command.env(
                format!("GRPC_MULTIPLEXER_SERVER_{of_kubernetes}"),
                "10.0.0.1",
            );
        }
        command
    };
    let wanted = "variable GRPC_MULTIPLEXER_SERVER_LOGLEVEL: unknown, ignored; did you mean \
                  GRPC_MULTIPLEXER_SERVER_LOG_LEVEL?";
    for asked in ["--check-config", "--print-config"] {
        let said = run(set(&[asked])).await;
        assert_eq!(
            (said.code, said.err),
            (Some(0), format!("warning: {wanted}\n"))
        );
    }
    let listeners = [
        "--proxy-listener",
        "127.0.0.1:0",
        "--multiplexer-listener",
        "127.0.0.1:0",
        "--admin-listener",
        "off",
    ];
    let server = Process::of(set(&listeners));
    server.says(" listening ").await;
    let warnings: Vec<_> = server
        .log()
        .into_iter()
        .filter(|line| line.contains(" WARN "))
        .collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].ends_with(wanted), "{warnings:?}");
}
