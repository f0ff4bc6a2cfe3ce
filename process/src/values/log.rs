//! How much is logged, and in which form.

/// The least severe events that are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogLevel {
    /// Everything, also from dependencies.
    Trace,
    /// Each call.
    Debug,
    /// The life of the process and of tunnels.
    Info,
    /// What is degraded and heals by itself.
    Warn,
    /// What someone must act on.
    Error,
}

/// The form of a logged event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// A line for people.
    Pretty,
    /// A line with one JSON object.
    Json,
}

/// A text is no log level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected trace, debug, info, warning or error")]
pub(crate) struct LogLevelError;

/// A text is no log format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected pretty or json")]
pub(crate) struct LogFormatError;

/// Parses `trace`, `debug`, `info`, `warn` (or `warning`) or `error`.
///
/// # Errors
///
/// For anything else.
pub(crate) fn log_level(text: &str) -> Result<LogLevel, LogLevelError> {
    match text {
        "trace" => Ok(LogLevel::Trace),
        "debug" => Ok(LogLevel::Debug),
        "info" => Ok(LogLevel::Info),
        "warn" | "warning" => Ok(LogLevel::Warn),
        "error" => Ok(LogLevel::Error),
        _ => Err(LogLevelError),
    }
}

/// Parses `pretty` or `json`.
///
/// # Errors
///
/// For anything else.
pub(crate) fn log_format(text: &str) -> Result<LogFormat, LogFormatError> {
    match text {
        "pretty" => Ok(LogFormat::Pretty),
        "json" => Ok(LogFormat::Json),
        _ => Err(LogFormatError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_words_are_refused_with_those_that_would_be_right() {
        assert_eq!(
            log_level("verbose").unwrap_err().to_string(),
            "expected trace, debug, info, warning or error"
        );
        assert_eq!(
            log_format("text").unwrap_err().to_string(),
            "expected pretty or json"
        );
    }

    #[test]
    fn each_level_and_format_has_its_word() {
        for (word, level) in [
            ("trace", LogLevel::Trace),
            ("debug", LogLevel::Debug),
            ("info", LogLevel::Info),
            ("warn", LogLevel::Warn),
            ("warning", LogLevel::Warn),
            ("error", LogLevel::Error),
        ] {
            assert_eq!(log_level(word), Ok(level));
        }
        assert_eq!(log_format("pretty"), Ok(LogFormat::Pretty));
        assert_eq!(log_format("json"), Ok(LogFormat::Json));
    }
}
