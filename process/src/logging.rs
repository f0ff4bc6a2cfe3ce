//! The process's logger: one line per event on stderr, for people or for machines.
//!
//! Logging must never end or corrupt anything: a stderr that nobody reads any more loses lines and nothing else, and
//! texts that come from peers cannot forge a line or steer a terminal.

mod line;

use std::env;
use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Registry, reload};

use crate::{LogFormat, LogLevel};
use line::LineFields;

/// The logger could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("the process has a logger already")]
pub(crate) struct InitLoggingError(#[source] TryInitError);

/// Sets the process's logger, which also takes what dependencies say through the `log` crate.
///
/// `level` is for this workspace's crates. Others are heard at `warn` at most, as their frames and packets would drown
/// everything else, and the protocol libraries not at all; only [`LogLevel::Trace`] lets all of it through. Colours are for terminals only, and never with
/// `NO_COLOR` set.
///
/// # Errors
///
/// When the process has a logger already.
pub(crate) fn init(level: LogLevel, format: LogFormat) -> Result<Verbosity, InitLoggingError> {
    let (subscriber, verbosity) = subscriber(level, format, io::stderr, wants_colour());
    subscriber.try_init().map_err(InitLoggingError)?;
    Ok(verbosity)
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
