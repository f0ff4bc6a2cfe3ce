//! What the options mean.

use std::time::Duration;

use grpc_multiplexer_process::{
    HostPort, Leaves, LogFormat, LogLevel, Mistakes, Reader, duration, host_port, log_format,
    log_level,
};
use grpc_multiplexer_tunnel::TunnelConfig;

/// What a server needs to know.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where callers call.
    pub proxy_listener: HostPort,
    /// Where edges dial in.
    pub multiplexer_listener: HostPort,
    /// How long calls in flight may take to finish after a stop was asked for.
    pub drain_timeout: Duration,
    /// Timeouts of tunnels.
    pub tunnel: TunnelConfig,
}

/// A server's configuration and its process's.
#[derive(Debug)]
pub struct ProcessConfig {
    /// The server.
    pub server: ServerConfig,
    /// How much to log.
    pub log_level: LogLevel,
    /// In which form.
    pub log_format: LogFormat,
}

impl ProcessConfig {
    /// Reads the leaves of [`crate::PROGRAM`].
    ///
    /// # Errors
    ///
    /// All mistakes at once.
    pub fn read(leaves: &Leaves) -> Result<Self, Mistakes> {
        let mut reader = Reader::new(leaves);
        let proxy_listener = reader.one("proxy-listener", host_port);
        let multiplexer_listener = reader.one("multiplexer-listener", host_port);
        let drain_timeout = reader.one("drain-timeout", duration);
        let log_level = reader.one("log-level", log_level);
        let log_format = reader.one("log-format", log_format);
        reader.finish(|| {
            Some(Self {
                server: ServerConfig {
                    proxy_listener: proxy_listener?,
                    multiplexer_listener: multiplexer_listener?,
                    drain_timeout: drain_timeout?,
                    tunnel: TunnelConfig::default(),
                },
                log_level: log_level?,
                log_format: log_format?,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn read(args: &[&str]) -> Result<ProcessConfig, String> {
        let args = std::iter::once("server").chain(args.iter().copied());
        let leaves = crate::PROGRAM.leaves(args.map(OsString::from)).unwrap();
        ProcessConfig::read(&leaves).map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let said = read(&[
            "--proxy-listener",
            "x",
            "--multiplexer-listener",
            "y:z",
            "--drain-timeout",
            "5",
        ])
        .unwrap_err();
        for part in [
            "--proxy-listener",
            "--multiplexer-listener",
            "--drain-timeout",
        ] {
            assert!(said.contains(part), "{part} is missing in:\n{said}");
        }
    }

    #[test]
    fn the_defaults_are_the_originals() {
        let config = read(&[]).unwrap();
        assert_eq!(config.server.proxy_listener.to_string(), "localhost:7592");
        assert_eq!(
            config.server.multiplexer_listener.to_string(),
            "localhost:7602"
        );
    }
}
