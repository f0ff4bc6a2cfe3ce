//! What the options mean.

use std::num::NonZero;
use std::path::PathBuf;
use std::thread::available_parallelism;

use grpc_multiplexer_process::{
    AdminListener, Exposure, HostPort, ListenerTls, Reader, UPGRADE_SOCKET, count, upgrade_socket,
};

use crate::Settings;
use crate::edge::comers as edges;
use crate::hooks::HookSettings;
use crate::operator;
use crate::proxy::comers as callers;

/// What the options of [`crate::PROGRAM`] say.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where callers call.
    pub proxy_listener: HostPort,
    /// Where edges dial in.
    pub multiplexer_listener: HostPort,
    /// Where operators look.
    pub admin_listener: AdminListener,
    /// Where operators take edges off, if anywhere.
    pub operator_listener: Option<HostPort>,
    /// Where a new process takes over from this one, and this one from the one before.
    pub upgrade_socket: Option<PathBuf>,
    /// How many threads serve connections.
    pub threads: usize,
    /// How it behaves.
    pub settings: Settings,
}

impl ServerConfig {
    /// Reads the options of [`crate::PROGRAM`]. Mistakes are kept by `reader`.
    #[must_use]
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let proxy_listener = reader.one("proxy-listener", str::parse::<HostPort>);
        let multiplexer_listener = reader.one("multiplexer-listener", str::parse::<HostPort>);
        let admin_listener = AdminListener::read(reader);
        let operator_listener = operator::read(reader);
        let upgrade_socket = reader.optional(UPGRADE_SOCKET.path, upgrade_socket);
        let threads = reader.one("threads", threads);
        let settings = Settings::read(reader);
        let mut exposure = Exposure::default();
        if let (Some(settings), Some(proxy), Some(multiplexer), Some(admin)) = (
            &settings,
            &proxy_listener,
            &multiplexer_listener,
            &admin_listener,
        ) {
            let tls = (callers::TLS.options, settings.proxy_tls.as_ref());
            let policy = settings.callers.as_ref();
            let asks = policy.is_some_and(|policy| !policy.is_dry_run());
            exposure.listener(reader, "proxy-listener", proxy, tls, asks);
            let tls = (edges::TLS.options, settings.multiplexer_tls.as_ref());
            let asks = settings.edges.ask();
            exposure.listener(reader, "multiplexer-listener", multiplexer, tls, asks);
            // Where no certificate is asked for either, the listener itself was named.
            let asks_for_certificates = tls.1.is_some_and(ListenerTls::is_mutual);
            let decides = |hooks: &HookSettings| hooks.edges;
            let hook_decides = settings.hooks.as_ref().is_some_and(decides);
            let anybodys = asks_for_certificates && !asks && !hook_decides;
            let anybodys = anybodys.then_some(multiplexer);
            settings.edges.look(reader, &mut exposure, anybodys);
            if let Some(policy) = policy {
                policy.look(reader, &mut exposure);
            }
            if let Some(hooks) = &settings.hooks {
                hooks.look(reader, &mut exposure);
            }
            admin.look(reader, &mut exposure);
            if let Some(Some(operator)) = &operator_listener {
                let tls = (operator::TLS.options, settings.operator_tls.as_ref());
                Exposure::never(reader, operator::LISTENER.path, operator, tls);
            }
        }
        exposure.say(reader);
        Some(Self {
            proxy_listener: proxy_listener?,
            multiplexer_listener: multiplexer_listener?,
            admin_listener: admin_listener?,
            operator_listener: operator_listener?,
            upgrade_socket,
            threads: threads?,
            settings: settings?,
        })
    }
}

/// More than any machine has a use for.
const MOST_THREADS: usize = 1024;

fn threads(text: &str) -> Result<usize, String> {
    if text == "auto" {
        let processors = available_parallelism().map_or(1, NonZero::get);
        return Ok((processors / 2).max(1));
    }
    count(1..=MOST_THREADS)(text).map_err(|error| format!("{error}, or auto"))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn read(args: &[&str]) -> Result<ServerConfig, String> {
        let args = std::iter::once("program").chain(args.iter().copied());
        let leaves = crate::PROGRAM.leaves(args.map(OsString::from)).unwrap();
        let mut reader = Reader::new(&leaves);
        let config = ServerConfig::read(&mut reader);
        reader
            .finish(|| config)
            .map_err(|mistakes| mistakes.to_string())
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
    fn there_is_a_thread_at_least() {
        assert!(read(&[]).unwrap().threads > 0);
        assert_eq!(read(&["--threads=3"]).unwrap().threads, 3);
        for text in ["0", "1025", "-1", "Auto", ""] {
            let said = read(&["--threads", text]).unwrap_err();
            let right = "expected a whole number from 1 to 1024, or auto";
            assert!(said.contains(right), "{said}");
        }
    }

    #[test]
    fn the_defaults_are_the_originals() {
        let config = read(&[]).unwrap();
        assert_eq!(config.proxy_listener.to_string(), "localhost:7592");
        assert_eq!(config.multiplexer_listener.to_string(), "localhost:7602");
    }
}
