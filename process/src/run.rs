//! The life of a process: options, logging, signals, the work, the exit code.

use std::error::Error;
use std::process::ExitCode;

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::{
    EXIT_DRAINED, EXIT_FAILED, EXIT_USAGE, Leaves, LogFormat, LogLevel, Mistakes, OptionSpec,
    Program, Reader, Signals, init_logging, log_format, log_level,
};

/// Option of every program: how much to log.
pub const LOG_LEVEL: OptionSpec = OptionSpec {
    path: "log-level",
    value_name: "LEVEL",
    default: Some("info"),
    many: false,
    help: "trace, debug, info, warn (or warning), error",
};

/// Option of every program: in which form.
pub const LOG_FORMAT: OptionSpec = OptionSpec {
    path: "log-format",
    value_name: "FORMAT",
    default: Some("pretty"),
    many: false,
    help: "pretty (one line per event) or json",
};

/// Option of every program: how long it may take to finish.
pub const DRAIN_TIMEOUT: OptionSpec = OptionSpec {
    path: "drain-timeout",
    value_name: "DURATION",
    default: Some("25s"),
    many: false,
    help: "How long calls in flight may take to finish after SIGTERM or Ctrl-C",
};

/// Runs a program to its exit code, which is to be returned from `main`.
///
/// `read` makes the program's own configuration of its options; [`LOG_LEVEL`] and [`LOG_FORMAT`] are read here. `work`
/// gets it together with the token that the first signal cancels, and the second signal drops it. A mistake in the
/// options is said on stderr, and an error of `work` logged; neither returns.
pub fn run<C, E: Error + 'static>(
    program: &Program,
    read: impl FnOnce(&mut Reader<'_>) -> Option<C>,
    work: impl AsyncFnOnce(C, CancellationToken) -> Result<(), E>,
) -> ExitCode {
    let leaves = program
        .leaves(std::env::args_os())
        .unwrap_or_else(|error| error.exit());
    let started = match all_options(&leaves, read) {
        Ok((level, format, config)) => init_logging(level, format)
            .map_err(|error| error.to_string())
            .and_then(|()| Runtime::new().map_err(|error| error.to_string()))
            .map(|runtime| (runtime, config)),
        Err(mistakes) => {
            eprintln!("{} cannot start:\n{mistakes}", program.name);
            return EXIT_USAGE.into();
        }
    };
    let (runtime, config) = match started {
        Ok(started) => started,
        Err(error) => {
            eprintln!("{} cannot start: {error}", program.name);
            return EXIT_FAILED.into();
        }
    };
    let code = runtime.block_on(until_told(config, work));
    // A name lookup under way must not hold the process.
    runtime.shutdown_background();
    code.into()
}

fn all_options<C>(
    leaves: &Leaves,
    read: impl FnOnce(&mut Reader<'_>) -> Option<C>,
) -> Result<(LogLevel, LogFormat, C), Mistakes> {
    let mut reader = Reader::new(leaves);
    let config = read(&mut reader);
    let level = reader.one(LOG_LEVEL.path, log_level);
    let format = reader.one(LOG_FORMAT.path, log_format);
    reader.finish(|| Some((level?, format?, config?)))
}

/// Works until it is done, or told to stop at once.
async fn until_told<C, E: Error + 'static>(
    config: C,
    work: impl AsyncFnOnce(C, CancellationToken) -> Result<(), E>,
) -> u8 {
    let signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(error = &error as &dyn Error, "cannot listen for signals");
            return EXIT_FAILED;
        }
    };
    let finish = signals.finish();
    tokio::select! {
        biased;
        () = signals.run() => EXIT_FAILED,
        result = work(config, finish) => match result {
            Ok(()) => EXIT_DRAINED,
            Err(error) => {
                tracing::error!(error = &error as &dyn Error, "failed");
                EXIT_FAILED
            }
        },
    }
}
