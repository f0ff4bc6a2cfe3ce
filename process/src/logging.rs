//! The process's logger: one line per event on stderr, for people or for machines.
//!
//! Logging must never end, stop or corrupt anything: a stderr that nobody reads loses lines and nothing else, and texts
//! that come from peers cannot forge a line or steer a terminal.

mod line;
mod panics;
mod queue;

use std::env;
use std::io::{self, IsTerminal};
use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry as Families;
use tracing::{Subscriber, warn};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Registry, reload};

use crate::{LogFormat, LogLevel};
use line::LineFields;
use queue::{Queue, Written};

/// Why the logger could not be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InitLoggingError {
    #[error("the process has a logger already")]
    Another(#[from] TryInitError),
    #[error("the system gives no thread for the log: {0}")]
    Thread(#[from] io::Error),
}

/// The process's logger.
#[derive(Debug)]
pub(crate) struct Logger {
    pub(crate) verbosity: Verbosity,
    /// To be dropped last: it waits until what was said is written.
    pub(crate) written: Written,
    dropped: Counter,
}

impl Logger {
    /// Shows in `families` how many lines are missing.
    pub(crate) fn register(&self, families: &mut Families) {
        families.register(
            "log_lines_dropped",
            "Log lines that found no room, as stderr took no more",
            self.dropped.clone(),
        );
    }
}

/// Sets the process's logger, which also takes panics, and what dependencies say through the `log` crate.
///
/// `level` is for this workspace's crates. Others are heard at `warn` at most, as their frames and packets would drown
/// everything else, and the protocol libraries not at all; only [`LogLevel::Trace`] lets all of it through. Colours are for terminals only, and never with
/// `NO_COLOR` set.
///
/// # Errors
///
/// When the process has a logger already, or gets no thread to write its lines.
pub(crate) fn init(level: LogLevel, format: LogFormat) -> Result<Logger, InitLoggingError> {
    let colour = wants_colour();
    let queue = Arc::<Queue>::default();
    let (subscriber, verbosity) = subscriber(level, format, Arc::clone(&queue), colour);
    let written = queue.written_to(io::stderr(), move |lines| gap(format, colour, lines))?;
    subscriber.try_init()?;
    panics::log();
    Ok(Logger {
        verbosity,
        written,
        dropped: queue.dropped(),
    })
}

/// The line that stands where others are missing: in the form of all, and whatever the level is.
fn gap(format: LogFormat, colour: bool, lines: u64) -> Vec<u8> {
    let line = Arc::<Queue>::default();
    let subscriber = tracing_subscriber::registry()
        .with(LevelFilter::WARN)
        .with(events(format, Arc::clone(&line), colour));
    tracing::subscriber::with_default(subscriber, || {
        warn!(lines, "stderr took no more, log lines are missing here");
    });
    line.take().0
}

/// How much the process's logger lets through, which can be changed at any time.
#[derive(Debug)]
pub(crate) struct Verbosity(reload::Handle<Targets, Registry>);

impl Verbosity {
    pub(crate) fn set(&self, level: LogLevel) {
        // Fails only where there is no logger left to change.
        let _ = self.0.reload(filter(level));
    }
}

#[cfg(test)]
impl Verbosity {
    /// That of nobody's logger.
    pub(crate) fn of_none() -> Self {
        let (_, handle) = reload::Layer::new(filter(LogLevel::Info));
        Self(handle)
    }
}

/// *Source:* <https://no-color.org>: set and not empty.
fn wants_colour() -> bool {
    let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal() && !no_color
}

fn subscriber<W>(
    level: LogLevel,
    format: LogFormat,
    writer: W,
    colour: bool,
) -> (impl Subscriber + Send + Sync, Verbosity)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(filter(level));
    let subscriber = tracing_subscriber::registry()
        .with(filter)
        .with(events(format, writer, colour));
    (subscriber, Verbosity(handle))
}

/// What these log as errors are faults of peers, which end in an event of ours at its own level.
const PROTOCOLS: [&str; 2] = ["h2", "yamux"];

fn filter(level: LogLevel) -> Targets {
    let ours = match level {
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    let theirs = match ours {
        LevelFilter::TRACE => ours,
        _ => ours.min(LevelFilter::WARN),
    };
    let protocols = match ours {
        LevelFilter::TRACE => ours,
        _ => LevelFilter::OFF,
    };
    Targets::new()
        .with_default(theirs)
        .with_targets(PROTOCOLS.map(|target| (target, protocols)))
        // Targets go by prefix: this is every crate of the workspace.
        .with_target("grpc_multiplexer", ours)
}

fn events<S, W>(format: LogFormat, writer: W, colour: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(colour)
        .with_target(false)
        // A failed write would be reported on stderr by a macro that panics when stderr is closed.
        .log_internal_errors(false);
    match format {
        LogFormat::Pretty => Box::new(layer.fmt_fields(LineFields)),
        // `spans` lists all of them with their fields; the innermost one alone would say which call, not which tunnel.
        LogFormat::Json => Box::new(
            layer
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(true),
        ),
    }
}

#[cfg(test)]
mod tests;
