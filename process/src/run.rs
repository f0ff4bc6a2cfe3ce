//! The life of a process: options, logging, signals, the work, the exit code.

use std::error::Error;
use std::process::ExitCode;

use prometheus_client::registry::Registry as Families;
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::asked::{show, wrong_command_line};
use crate::core_dump;
use crate::descriptors::raise_limit;
use crate::exit::{Refusal, say};
use crate::options::{Files, Given, Mode, Sources};
use crate::reload::{Refused, Reload};
use crate::settings::{ReadConfig, Settings, settings};
use crate::tls::Certificates;
use crate::{EXIT_FAILED, Finished, Hangups, Logger, Program, Signals, families, init_logging};

/// Runs a program to its exit code, which is to be returned from `main`.
///
/// `read` makes the program's own configuration of its options; [`LOG_LEVEL`](crate::LOG_LEVEL) and
/// [`LOG_FORMAT`](crate::LOG_FORMAT) are read here. `work` gets it together with what is counted already, for an
/// [`Admin`](crate::Admin), and the token that the first signal cancels; the second signal drops it. A mistake in the
/// options is said on stderr, and an error of `work` logged; neither returns.
///
/// On SIGHUP the options are read again, and when a file that they name has other contents. What the receiver shows then
/// differs from before only in options that [reload](crate::OptionSpec::reload), so `work` may look at it whenever it uses
/// one of those.
pub fn run<C, E>(
    program: &'static Program,
    read: ReadConfig<C>,
    work: impl AsyncFnOnce(watch::Receiver<C>, Families, CancellationToken) -> Result<Finished, E>,
) -> ExitCode
where
    C: Send + Sync + 'static,
    E: Error + 'static,
{
    // Before any secret is read.
    core_dump::write_none();
    let sources = match Sources::of_process(program) {
        Ok(sources) => sources,
        Err(error) => return wrong_command_line(program, read, error),
    };
    let ended = match sources.mode() {
        Mode::Run => start(sources, read, work),
        Mode::Check | Mode::Print => show(program, &sources, read),
    };
    match ended {
        Ok(code) => code.into(),
        Err(refusal) => {
            say(format_args!("{} cannot start:{refusal}", program.name));
            refusal.code().into()
        }
    }
}

fn start<C, E>(
    mut sources: Sources,
    read: ReadConfig<C>,
    work: impl AsyncFnOnce(watch::Receiver<C>, Families, CancellationToken) -> Result<Finished, E>,
) -> Result<u8, Refusal>
where
    C: Send + Sync + 'static,
    E: Error + 'static,
{
    // What there is much of has threads of its own.
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Refusal::failed)?;
    // Before anything that takes time: until then SIGHUP ends the process.
    let hangups = {
        let _entered = runtime.enter();
        Hangups::listen().map_err(Refusal::failed)?
    };
    let given = sources.read();
    let Settings {
        level,
        format,
        config,
        noticed,
    } = settings(&given.leaves, read).map_err(Refusal::Mistakes)?;
    let logger = init_logging(level, format).map_err(Refusal::failed)?;
    log_sources(&sources, &given);
    for warning in noticed.warnings {
        tracing::warn!("{warning}");
    }
    sources.take(&given);
    raise_limit();
    let mut families = families();
    logger.register(&mut families);
    let certificates = Certificates::default();
    certificates.set(noticed.certificates);
    families.register_collector(Box::new(certificates.clone()));
    let Logger {
        verbosity, written, ..
    } = logger;
    let (configs, config) = watch::channel(config);
    let reload = Reload {
        sources,
        read,
        leaves: given.leaves,
        verbosity,
        configs,
        files: Files::read(noticed.files),
        certificates,
        refused: Refused::default(),
    };
    let code = runtime.block_on(async {
        tokio::select! {
            biased;
            code = until_told(work, config, families) => code,
            never = reload.run(hangups) => match never {},
        }
    });
    // A name lookup under way must not hold the process.
    runtime.shutdown_background();
    // Nobody says more; what was said is still to be read.
    drop(written);
    Ok(code)
}

fn log_sources(sources: &Sources, given: &Given) {
    let version = sources.program().version;
    match &given.file {
        Some(file) => tracing::info!(%version, file = %file.display(), "configuration read"),
        None => tracing::info!(%version, "no configuration file"),
    }
    for warning in &given.warnings {
        tracing::warn!("{warning}");
    }
}

/// Works until it is done, or told to stop at once.
async fn until_told<C, E: Error + 'static>(
    work: impl AsyncFnOnce(watch::Receiver<C>, Families, CancellationToken) -> Result<Finished, E>,
    config: watch::Receiver<C>,
    families: Families,
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
        result = work(config, families, finish) => match result {
            Ok(finished) => finished.code(),
            Err(error) => {
                tracing::error!(error = &error as &dyn Error, "failed");
                EXIT_FAILED
            }
        },
    }
}
