//! What a program says of its configuration without starting anything.

use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::exit::{EXIT_DRAINED, EXIT_USAGE, Refusal, say, say_by};
use crate::options::{Mode, Program, Sources, print};
use crate::settings::{ReadConfig, settings};

/// Says what is wrong with the command line, and with everything else, so that all of it can be mended at once.
pub(crate) fn wrong_command_line<C>(
    program: &'static Program,
    read: ReadConfig<C>,
    error: clap::Error,
) -> ExitCode {
    if error.exit_code() == 0 {
        // The help or the version.
        error.exit();
    }
    say_by(move || error.print());
    let rest = Sources::understood(program).map(|sources| settings(&sources.read().leaves, read));
    if let Some(Err(mistakes)) = rest {
        say(format_args!(
            "\nThe configuration is mistaken as well:\n{mistakes}"
        ));
    }
    EXIT_USAGE.into()
}

/// Answers what can be asked of a configuration without starting anything.
pub(crate) fn show<C>(
    program: &'static Program,
    sources: &Sources,
    read: ReadConfig<C>,
) -> Result<u8, Refusal> {
    let given = sources.read();
    for warning in &given.warnings {
        say(format_args!("warning: {warning}"));
    }
    let settings = settings(&given.leaves, read).map_err(Refusal::Mistakes)?;
    let text = match sources.mode() {
        Mode::Print => print(program, &given.leaves),
        _ => {
            for warning in settings.noticed.warnings {
                say(format_args!("warning: {warning}"));
            }
            format!("{}: no mistakes; read: {}\n", program.name, given.read)
        }
    };
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(Refusal::failed)?;
    Ok(EXIT_DRAINED)
}
