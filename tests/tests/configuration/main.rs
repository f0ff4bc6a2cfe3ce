//! What both binaries make of their configuration: where it comes from, what is wrong with it, what changes at run time.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

mod examples;
mod mistakes;
mod places;
mod precedence;
mod reload;
mod rights;
mod shown;
mod values;

use std::process::{Command, Stdio};

use grpc_multiplexer_tests::{command, within};

const SERVER: &str = "grpc-multiplexer-server";
const EDGE: &str = "grpc-multiplexer-client";

/// What a process said that ended by itself.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs a command that ends by itself, whatever it is given.
async fn run(command: Command) -> Said {
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = within("the end of a process", command.output()).await;
    let output = output.unwrap();
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The options in force of a command that has none of its own, as it prints them.
async fn printed(mut command: Command) -> String {
    command.arg("--print-config");
    let said = run(command).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    said.out
}

/// What was printed of an option with one value: the value and its origin. Of those that are nested only one may be set of
/// each name.
fn in_force(printed: &str, key: &str) -> (String, String) {
    let name = key.rsplit('.').next().unwrap();
    let before = format!("{name}: \"");
    let nested = key.contains('.');
    let line = printed.lines().find_map(|line| match line.trim_start() {
        trimmed if nested == (trimmed != line) => trimmed.strip_prefix(&before),
        _ => None,
    });
    let line = line.unwrap_or_else(|| panic!("no {key} in\n{printed}"));
    let (value, origin) = line.split_once("\"  # ").unwrap();
    (value.to_owned(), origin.to_owned())
}

/// The variable of an option.
fn variable(program: &str, key: &str) -> String {
    format!("{program}_{key}")
        .replace(['-', '.'], "_")
        .to_uppercase()
}

/// A binary of ours with flags.
fn with(program: &str, args: &[&str]) -> Command {
    let mut command = command(program);
    command.args(args);
    command
}
