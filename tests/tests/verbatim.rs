//! The two commands that the documentation of the original shows work as they are printed there.
//!
//! Their ports are fixed, so the test runs in a network namespace of its own, where nobody else has them. Where a user may
//! not have one, it runs beside everybody else, and is left out while somebody has one of the ports.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

use std::net::TcpListener;
use std::process::Command;

use grpc_multiplexer_tests::{Caller, Process, binary, isolated, until, within};
use tokio::net::TcpStream;

/// As printed there.
const SERVER: &str =
    "./grpc-multiplexer-server --multiplexer-listener 0.0.0.0:12345 --proxy-listener 0.0.0.0:1234";
/// As printed there, with 127.0.0.1 for 1.2.3.4.
const EDGE: &str = "./grpc-multiplexer-client --client-id rainbow --multiplexer-address 127.0.0.1:12345 \
                    --grpc-server-address localhost:4444";
/// An uncompressed message of no bytes.
const EMPTY_MESSAGE: &[u8] = b"\0\0\0\0\0";

const PORTS: [u16; 3] = [12345, 1234, 4444];

/// Set for the run inside the namespace.
const INSIDE: &str = "GRPC_MULTIPLEXER_TEST_IN_A_NAMESPACE";

/// A shell with a loopback interface of its own.
fn in_namespace(script: &str) -> Command {
    let mut unshare = Command::new("unshare");
    let script = format!("ip link set lo up && {script}");
    unshare.args(["-rn", "sh", "-c", &script]);
    unshare
}

#[tokio::test]
async fn the_commands_work_as_printed() {
    if std::env::var_os(INSIDE).is_none() {
        if in_namespace("true")
            .output()
            .is_ok_and(|output| output.status.success())
        {
            return again_in_a_namespace().await;
        }
        if PORTS
            .iter()
            .any(|port| TcpListener::bind(("0.0.0.0", *port)).is_err())
        {
            eprintln!(
                "left out: one of the ports {PORTS:?} is taken, and a namespace is not to be had"
            );
            return;
        }
    }
    let _backend = Process::start("example-backend", &["--listen", "localhost:4444"]);
    until("a backend", async || {
        TcpStream::connect("localhost:4444").await.ok()
    })
    .await;
    let server = Process::of(printed(SERVER));
    server.says(" listening ").await;
    let edge = Process::of(printed(EDGE));
    edge.says(" connected ").await;
    let caller = Caller::connect("127.0.0.1:1234".parse().unwrap()).await;
    let answer = caller
        .call(
            "/grpc.health.v1.Health/Check",
            &[("client-id", "rainbow")],
            EMPTY_MESSAGE,
        )
        .await;
    assert_eq!(answer.code(), Some(0), "{answer:?}");
}

/// A command as it stands in a text, in the folder of the binaries.
fn printed(line: &str) -> Command {
    let mut shell = isolated("sh");
    shell.args(["-c", &format!("exec {line}")]);
    shell.current_dir(binary("grpc-multiplexer-server").parent().unwrap());
    shell
}

async fn again_in_a_namespace() {
    // Built here: there it would have to be done within the deadline.
    binary("grpc-multiplexer-server");
    let test = std::env::current_exe().unwrap();
    let run = format!(
        "exec {} --exact the_commands_work_as_printed --nocapture",
        test.display()
    );
    let mut command = tokio::process::Command::from(in_namespace(&run));
    let output = command.env(INSIDE, "1").kill_on_drop(true).output();
    let output = within("the test in a namespace", output).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}
