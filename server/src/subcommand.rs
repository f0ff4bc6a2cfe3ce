//! The command line beside the server itself: what makes the files that say who gets in.

mod lifetime;
mod new_authority;
mod new_certificate;
mod new_token;
mod pair;

use std::ffi::OsString;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{ArgMatches, Command};
use humantime::format_rfc3339_seconds;
use pair::Pair;

/// The exit code of wrong arguments, as of the server itself.
const USAGE: u8 = 2;

/// A command, and what does it. What may fail says why.
struct Subcommand {
    command: fn() -> Command,
    run: fn(&ArgMatches) -> Result<(), String>,
}

const SUBCOMMANDS: [Subcommand; 3] = [
    Subcommand {
        command: new_token::command,
        run: new_token::run,
    },
    Subcommand {
        command: new_authority::command,
        run: new_authority::run,
    },
    Subcommand {
        command: new_certificate::command,
        run: new_certificate::run,
    },
];

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
    let first = args.get(1)?.to_str()?;
    let asked = SUBCOMMANDS
        .iter()
        .find(|subcommand| (subcommand.command)().get_name() == first)?;
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
    Some(match (asked.run)(given) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let _ = writeln!(io::stderr(), "{}: {why}", crate::PROGRAM.name);
            ExitCode::FAILURE
        }
    })
}

fn command() -> Command {
    let name = crate::PROGRAM.name;
    Command::new(name)
        .bin_name(name)
        .max_term_width(100)
        .subcommands(SUBCOMMANDS.iter().map(|subcommand| (subcommand.command)()))
}

/// Writes a file that was not there.
fn write(file: &Path, text: &str, secrecy: Secrecy) -> Result<(), String> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if let Secrecy::Secret = secrecy {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    let written = options.open(file).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| cannot_write(file, &error))
}

/// Whom a file is for.
#[derive(Clone, Copy)]
enum Secrecy {
    /// This user alone.
    Secret,
    Public,
}

fn say_made(pair: &Pair, end: SystemTime) -> Result<(), String> {
    say(format_args!(
        "{} and {}, until {}",
        pair.certificate.display(),
        pair.key.display(),
        format_rfc3339_seconds(end)
    ))
}

/// Prints a line.
fn say(line: fmt::Arguments<'_>) -> Result<(), String> {
    writeln!(io::stdout(), "{line}").map_err(|error| format!("cannot write to stdout: {error}"))
}

fn cannot_write(file: &Path, error: &io::Error) -> String {
    format!("cannot write {}: {error}", file.display())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_subcommands_make_a_command_line() {
        super::command().debug_assert();
    }
}
