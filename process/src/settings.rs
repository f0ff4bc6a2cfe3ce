//! The options that both binaries have, and all options of one read together.

use std::path::PathBuf;
use std::time::Duration;

use crate::options::Noticed;
use crate::{
    Leaves, LogFormat, LogLevel, Mistakes, OptionSpec, Reader, duration, log_format, log_level,
};

/// Option of every program: how much to log.
pub const LOG_LEVEL: OptionSpec = OptionSpec {
    path: "log-level",
    value_name: "LEVEL",
    default: Some("info"),
    many: false,
    secret: false,
    reload: true,
    help: "How much to log: trace, debug, info, warning (or warn), error",
};

/// Option of every program: in which form.
///
/// It does not reload: the fields of spans that are open were written down in the old form.
pub const LOG_FORMAT: OptionSpec = OptionSpec {
    path: "log-format",
    value_name: "FORMAT",
    default: Some("pretty"),
    many: false,
    secret: false,
    reload: false,
    help: "How to log: pretty (one line per event, for people) or json (one object per line)",
};

/// What [`DRAIN_TIMEOUT`] is by default: below the 30 s that Kubernetes and others leave before SIGKILL.
pub const DRAIN_TIME: Duration = Duration::from_secs(25);

/// Option of every program: how long it may take to finish.
pub const DRAIN_TIMEOUT: OptionSpec = OptionSpec {
    path: "drain-timeout",
    value_name: "DURATION",
    default: Some("25s"),
    many: false,
    secret: false,
    reload: true,
    help: "How long calls in flight may take to finish after SIGTERM or Ctrl-C, with its unit: 500ms, 25s, 1m 30s",
};

/// Option of both programs: when a silent tunnel is given up.
pub const TUNNEL_TIMEOUT: OptionSpec = OptionSpec {
    path: "tunnel-timeout",
    value_name: "DURATION",
    default: Some("20s"),
    many: false,
    secret: false,
    reload: false,
    help: "How long a tunnel may be silent before it is closed, from 2s to 1h; heartbeats go twice as often, and a \
           tunnel that owes an answer gets no new calls long before",
};

/// Parses the value of [`TUNNEL_TIMEOUT`].
///
/// # Errors
///
/// Says what would be right.
pub fn tunnel_timeout(text: &str) -> Result<Duration, String> {
    let timeout = duration(text).map_err(|error| error.to_string())?;
    // Below, a busy machine or one lost packet would close a tunnel.
    if (Duration::from_secs(2)..=Duration::from_secs(3600)).contains(&timeout) {
        Ok(timeout)
    } else {
        Err("must be from 2s to 1h".to_owned())
    }
}

/// Option of every program: where a process and its successor meet.
pub const UPGRADE_SOCKET: OptionSpec = OptionSpec {
    path: "upgrade-socket",
    value_name: "PATH",
    default: None,
    many: false,
    secret: false,
    reload: false,
    help: "Unix socket over which a new process with the same options takes over from this one, without a failed call; \
           without one there is no take-over",
};

/// Longest path of it. The system's own limit is 108, or less, and a new socket is made beside it under a longer name.
const UPGRADE_SOCKET_PATH: usize = 88;

/// Parses the value of [`UPGRADE_SOCKET`].
///
/// # Errors
///
/// For a path that is relative, since the next process may be started elsewhere, or too long for a socket.
pub fn upgrade_socket(text: &str) -> Result<PathBuf, String> {
    if !cfg!(unix) {
        return Err("has no effect on this system: leave it out".to_owned());
    }
    let path = PathBuf::from(text);
    if path.is_absolute() && text.len() <= UPGRADE_SOCKET_PATH && !text.ends_with('/') {
        return Ok(path);
    }
    Err(format!(
        "must be an absolute path of at most {UPGRADE_SOCKET_PATH} bytes, such as /run/grpc-multiplexer/upgrade"
    ))
}

/// How a program makes its own configuration of its options. Mistakes are kept by the reader; `None` only with one.
///
/// It is called again at each reload, and when a file changed that it read through the reader, so it must not do more than
/// read.
pub type ReadConfig<C> = fn(&mut Reader<'_>) -> Option<C>;

/// Every option of a program, with its meaning.
#[derive(Debug)]
pub(crate) struct Settings<C> {
    pub(crate) level: LogLevel,
    pub(crate) format: LogFormat,
    pub(crate) config: C,
    pub(crate) noticed: Noticed,
}

/// Reads all of `leaves`.
///
/// # Errors
///
/// Every mistake.
pub(crate) fn settings<C>(leaves: &Leaves, read: ReadConfig<C>) -> Result<Settings<C>, Mistakes> {
    let mut reader = Reader::new(leaves);
    let config = read(&mut reader);
    let level = reader.one(LOG_LEVEL.path, log_level);
    let format = reader.one(LOG_FORMAT.path, log_format);
    let noticed = reader.take_noticed();
    reader.finish(|| {
        Some(Settings {
            level: level?,
            format: format?,
            config: config?,
            noticed,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_of_an_upgrade_has_an_absolute_path_that_fits() {
        assert_eq!(upgrade_socket("/run/a/b"), Ok(PathBuf::from("/run/a/b")));
        for wrong in ["", "b", "./b", "/run/", &format!("/{}", "b".repeat(88))] {
            let said = upgrade_socket(wrong).unwrap_err();
            assert!(said.contains("an absolute path"), "{said}");
        }
    }

    #[test]
    fn the_drain_time_is_the_options_default() {
        assert_eq!(duration(DRAIN_TIMEOUT.default.unwrap()), Ok(DRAIN_TIME));
    }

    #[test]
    fn a_tunnel_timeout_is_within_reason() {
        for (text, good) in [
            ("2s", true),
            ("1999ms", false),
            ("1h", true),
            ("1h 1ms", false),
            ("0", false),
        ] {
            assert_eq!(tunnel_timeout(text).is_ok(), good, "{text}");
        }
        assert!(tunnel_timeout("2").unwrap_err().contains("write 2s"));
        assert!(tunnel_timeout(TUNNEL_TIMEOUT.default.unwrap()).is_ok());
    }
}
