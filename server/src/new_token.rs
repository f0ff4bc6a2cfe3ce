//! `grpc-multiplexer-server new-token`: a token for an edge, and its line for the server.
//!
//! The token goes into a file of its own and nowhere else; what is printed is the line, without the token.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, Command, value_parser};
use rand::Rng as _;

use crate::credential::{Grant, hex, line};

const NAME: &str = "new-token";
const FILE: &str = "FILE";
const ID: &str = "CLIENT_ID";
/// The exit code of wrong arguments, as of the server itself.
const USAGE: u8 = 2;

/// Does what the subcommand asks that comes first among a program's arguments; `None` when none does, so that a server is
/// to be run.
///
/// ```
/// use grpc_multiplexer_server::subcommand;
///
/// let server = ["grpc-multiplexer-server", "--proxy-listener", ":7592"];
/// assert!(subcommand(server.map(Into::into)).is_none());
/// ```
///
/// The exit code is 0 when all is well, 1 when something cannot be written, and 2 for wrong arguments.
pub fn subcommand(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let args: Vec<_> = args.into_iter().collect();
    if args.get(1)? != NAME {
        return None;
    }
    let matches = match command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => {
            // Nobody to tell, if that fails.
            let _ = error.print();
            let is_help = error.exit_code() == 0;
            return Some(if is_help {
                ExitCode::SUCCESS
            } else {
                USAGE.into()
            });
        }
    };
    let (_, given) = matches.subcommand()?;
    let file = given.get_one::<PathBuf>(FILE)?;
    let grants: Vec<_> = given.get_many::<Grant>(ID)?.cloned().collect();
    Some(match make(file, &grants) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{}: {error}", crate::PROGRAM.name);
            ExitCode::FAILURE
        }
    })
}

fn command() -> Command {
    let file = Arg::new(FILE)
        .required(true)
        .value_parser(value_parser!(PathBuf))
        .help("The token is written here, for the edge's --token-file; there must be no such file yet");
    let id = Arg::new(ID)
        .required(true)
        .num_args(1..)
        .value_parser(Grant::parse)
        .help("A client id that the token grants, or what they begin with and *");
    let new_token = Command::new(NAME)
        .about("Makes a token for an edge, and prints its line for the server's --edges-tokens")
        .args([file, id]);
    let name = crate::PROGRAM.name;
    Command::new(name)
        .bin_name(name)
        .max_term_width(100)
        .subcommand(new_token)
}

fn make(file: &Path, grants: &[Grant]) -> Result<(), String> {
    let token = hex(&rand::rng().random::<[u8; 32]>());
    let written = write(file, &token);
    written.map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    let printed = writeln!(io::stdout(), "{}", line(&token, grants));
    printed.map_err(|error| format!("cannot write to stdout: {error}"))
}

/// Writes a file that is this user's alone, and that was not there.
fn write(file: &Path, token: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    writeln!(options.open(file)?, "{token}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_subcommand_makes_a_command_line() {
        super::command().debug_assert();
    }
}
