//! Runs a subcommand, and keeps all that it says.

use std::process::Stdio;

use grpc_multiplexer_tests::{binary, within};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// What a subcommand said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// The objects of `--json`.
    pub(crate) fn objects(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{self:?}"));
        self.out.lines().map(parse).collect()
    }
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(binary("grpc-multiplexer-client"));
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs one to its end.
pub(crate) async fn run(args: &[&str]) -> Said {
    let output = within("the end of a subcommand", command(args).output())
        .await
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said {
        code: output.status.code().unwrap(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// The keys of an object, sorted.
pub(crate) fn keys(object: &Value) -> Vec<&str> {
    object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

/// Whether the help of a subcommand tells each key of an object.
pub(crate) async fn documented(subcommand: &str, object: &Value) {
    let help = run(&[subcommand, "--help"]).await.out;
    for key in keys(object) {
        assert!(help.contains(key), "{key} is not in\n{help}");
    }
}

/// One that goes on, read line by line.
pub(crate) struct Running {
    process: Child,
    out: Lines<BufReader<ChildStdout>>,
}

impl Running {
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut process = command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, out }
    }

    pub(crate) async fn line(&mut self) -> String {
        within("a line", self.out.next_line())
            .await
            .unwrap()
            .unwrap()
    }

    pub(crate) async fn object(&mut self) -> Value {
        serde_json::from_str(&self.line().await).unwrap()
    }

    /// Reads no more.
    pub(crate) fn unread(self) -> Child {
        self.process
    }
}
