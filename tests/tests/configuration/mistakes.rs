//! What is wrong is told at once and in full: place, key, value, what would be right. Texts are pinned.

use std::fs::File;

use grpc_multiplexer_tests::{Folder, isolated};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use crate::{EDGE, SERVER, run, with};

#[tokio::test]
async fn every_mistake_of_every_source_is_told_at_once() {
    let folder = Folder::new("mistakes");
    let file = folder.put(
        "server.yaml",
        "\
proxy-listner: localhost:1
proxy-listener: localhost
log-level: no
log-level: info
log-format: [pretty]
drain-timeout: 25
colour: red
",
    );
    let mut command = with(SERVER, &["--config", &file, "--drain-timeout", "soon"]);
    command.env("GRPC_MULTIPLEXER_SERVER_MULTIPLEXER_LISTENER", "::1");
    let said = run(command).await;
    assert_eq!(said.code, Some(2));
    assert_eq!(said.out, "");
    let wanted = "\
grpc-multiplexer-server cannot start:
FILE:1:1: proxy-listner: unknown key; did you mean proxy-listener?
FILE:4:1: log-level: given twice; first in line 3
FILE:5:13: log-format: expected a single value, not a list
FILE:7:1: colour: unknown key
FILE:2:17: proxy-listener: \"localhost\": the port is missing; expected host:port, for example host.example:1234
variable GRPC_MULTIPLEXER_SERVER_MULTIPLEXER_LISTENER: \"::1\": an IPv6 address with a port needs brackets, for \
example [::1]:1234
FILE:6:16: drain-timeout: \"25\": the unit is missing; write 25s for seconds or 25ms for milliseconds
flag --drain-timeout: \"soon\": expected a duration, for example 10s, 250ms or 1h 30m
FILE:3:12: log-level: \"no\": expected trace, debug, info, warning or error
";
    assert_eq!(said.err.replace(&file, "FILE"), wanted);
}

#[tokio::test]
async fn the_edges_mistakes_say_what_would_be_right() {
    let folder = Folder::new("edge-mistakes");
    let file = folder.put(
        "client.yaml",
        "\
client-id: -a
multiplexer-address: [a, 'b:c']
grpc-server-address: ftp://a:1
backend-ca: /no/such/ca.pem
backend-server-name: a b
backend-authority: 'a b'
backend-mode: proxy
drain-timeout: ~
log-format: xml
",
    );
    let said = run(with(EDGE, &["--config", &file])).await;
    assert_eq!(said.code, Some(2));
    let wanted = "\
grpc-multiplexer-client cannot start:
FILE:8:16: drain-timeout: YAML reads this as no value; remove the key, or quote it if text is meant
FILE:1:12: client-id: \"-a\": must start with a letter or digit, then letters, digits, '.', '_' or '-', 128 characters \
at most
FILE:2:23: multiplexer-address: \"a\": the port is missing; expected host:port, for example host.example:1234
FILE:2:26: multiplexer-address: \"b:c\": the port must be a number from 0 to 65535
FILE:3:22: grpc-server-address: \"ftp://a:1\": the host must be a name or an IP address, and nothing may stand around host and port; for example host.example:1234; \
also possible: https://HOST:PORT, unix:/PATH
FILE:5:22: backend-server-name: \"a b\": must be a DNS name or an IP address
FILE:6:20: backend-authority: \"a b\": must be a host name, with or without a port
FILE:7:15: backend-mode: \"proxy\": must be splice or terminate
FILE:9:13: log-format: \"xml\": expected pretty or json
";
    assert_eq!(said.err.replace(&file, "FILE"), wanted);
}

#[tokio::test]
async fn mistakes_between_options_name_the_place_of_the_value() {
    let folder = Folder::new("between");
    let file = folder.put(
        "client.yaml",
        "backend-ca: /ca.pem\nbackend-server-name: a.test\n",
    );
    let said = run(with(EDGE, &["--config", &file])).await;
    assert_eq!(
        said.err.replace(&file, "FILE"),
        "\
grpc-multiplexer-client cannot start:
FILE:1:13: backend-ca: \"/ca.pem\": has no effect without TLS; write --grpc-server-address https://HOST:PORT
FILE:2:22: backend-server-name: \"a.test\": has no effect without TLS; write --grpc-server-address https://HOST:PORT
"
    );
    let file = folder.put(
        "client.yaml",
        "grpc-server-address: https://localhost:1\nbackend-ca: /no/such/ca.pem\n",
    );
    let said = run(with(EDGE, &["--config", &file])).await;
    let wanted =
        "FILE:2:13: backend-ca: \"/no/such/ca.pem\": the file cannot be read: No such file";
    assert!(said.err.replace(&file, "FILE").contains(wanted), "{said:?}");
}

#[tokio::test]
async fn a_wrong_command_line_does_not_hide_what_else_is_wrong() {
    let folder = Folder::new("command-line");
    let file = folder.put("server.yaml", "log-level: loud\n");
    let said = run(with(SERVER, &["--config", &file, "--no-such-flag"])).await;
    assert_eq!(said.code, Some(2));
    for wanted in [
        "error: unexpected argument '--no-such-flag' found\n".to_owned(),
        format!(
            "\nThe configuration is mistaken as well:\n\
             {file}:1:12: log-level: \"loud\": expected trace, debug, info, warning or error\n"
        ),
    ] {
        assert!(said.err.contains(&wanted), "{said:?}");
    }
}

#[tokio::test]
async fn what_is_no_configuration_file_is_refused_without_waiting() {
    let folder = Folder::new("no-file");
    let pipe = folder.0.join("pipe").display().to_string();
    let mut mkfifo = isolated("mkfifo");
    mkfifo.arg(&pipe);
    assert_eq!(run(mkfifo).await.code, Some(0));
    let large = folder.put("large", "");
    File::options()
        .write(true)
        .open(&large)
        .unwrap()
        .set_len(100 << 20)
        .unwrap();
    let kind = "this is no regular file; give the configuration as a plain file";
    for (path, reason) in [
        (
            folder.0.to_str().unwrap(),
            "this is a folder; name the file in it",
        ),
        (&pipe, kind),
        ("/dev/zero", kind),
        (
            &large,
            "larger than 1024 KiB; a configuration is a few lines",
        ),
        (
            "",
            "the file cannot be read: No such file or directory (os error 2)",
        ),
    ] {
        let said = run(with(SERVER, &["--config", path])).await;
        assert_eq!(said.code, Some(2), "{said:?}");
        let wanted = format!("{SERVER} cannot start:\nflag --config: {path:?}: {reason}\n");
        assert_eq!(said.err, wanted);
    }
}

#[tokio::test]
async fn a_file_in_another_encoding_is_told_with_the_place() {
    let folder = Folder::new("encoding");
    let file = folder.put("server.yaml", b"log-level: info\n# caf\xe9\n");
    let said = run(with(SERVER, &["--config", &file])).await;
    let wanted =
        format!("{SERVER} cannot start:\n{file}:2:6: not UTF-8; save the file in this encoding\n");
    assert_eq!((said.code, said.err), (Some(2), wanted));
}

/// The parser's own tests try many more texts; here the whole process answers.
#[tokio::test]
async fn arbitrary_bytes_are_a_mistake_and_no_crash() {
    let folder = Folder::new("bytes");
    let mut texts = vec![
        b"[".repeat(1 << 20),
        b"{a: ".repeat(1 << 18),
        b"\0".repeat(1000),
    ];
    let mut runner = TestRunner::deterministic();
    let bytes = prop::collection::vec(any::<u8>(), 1..200);
    texts.extend((0..50).map(|_| bytes.new_tree(&mut runner).unwrap().current()));
    for text in texts {
        let file = folder.put("server.yaml", &text);
        let said = run(with(SERVER, &["--config", &file, "--check-config"])).await;
        assert_eq!(said.code, Some(2), "{text:?}: {said:?}");
        assert!(
            said.err
                .starts_with(&format!("{SERVER} cannot start:\n{file}:")),
            "{said:?}"
        );
    }
}
