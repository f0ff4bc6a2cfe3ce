use std::error::Error;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use tracing::{Level, debug, debug_span, error, info, warn};

use super::*;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `events` logs.
fn logged(level: LogLevel, format: LogFormat, colour: bool, events: impl FnOnce()) -> String {
    let lines = Lines::default();
    let writer = lines.clone();
    let (subscriber, _) = subscriber(level, format, move || writer.clone(), colour);
    tracing::subscriber::with_default(subscriber, events);
    let bytes = lines.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

/// As [`logged`] for people, without the timestamp, which has to be one of UTC.
fn logged_lines(level: LogLevel, events: impl FnOnce()) -> Vec<String> {
    let without_time = |line: &str| {
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.ends_with('Z') && time.contains('T'), "{time}");
        rest.to_owned()
    };
    logged(level, LogFormat::Pretty, false, events)
        .lines()
        .map(without_time)
        .collect()
}

#[derive(Debug, thiserror::Error)]
#[error("cannot dial")]
struct DialError(#[source] io::Error);

const CHILD: &str = "GRPC_MULTIPLEXER_TEST_OWNS_THE_PROCESS";

/// A test of this module once more, as a process of its own, which finds [`CHILD`] set. Its stderr is a pipe.
fn own_process(test: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", &format!("logging::tests::{test}"), "--nocapture"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

#[test]
fn a_closed_stderr_does_not_end_the_process() {
    if env::var_os(CHILD).is_some() {
        // The parent closes stdin once stderr has no reader.
        io::copy(&mut io::stdin(), &mut io::sink()).unwrap();
        let _logger = init(LogLevel::Info, LogFormat::Pretty).unwrap();
        let long = "x".repeat(1 << 20);
        info!(long, "does not fit a pipe");
        error!("nobody hears this");
        return;
    }
    let mut child = own_process("a_closed_stderr_does_not_end_the_process")
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_panic_is_one_line_and_written_before_the_end() {
    if env::var_os(CHILD).is_some() {
        let logger = init(LogLevel::Error, LogFormat::Pretty).unwrap();
        let thread = std::thread::Builder::new().name("work".to_owned());
        let panicked = thread.spawn(|| panic!("one\n{}", "two")).unwrap().join();
        assert!(panicked.is_err());
        drop(logger);
        // As a process ends, without the harness.
        std::process::exit(0);
    }
    let output = own_process("a_panic_is_one_line_and_written_before_the_end")
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let wanted = r#"ERROR panicked, which is a bug reason="one\ntwo" location=process/src/logging/tests.rs:"#;
    assert!(said.contains(wanted), "{said}");
    assert!(said.ends_with(" thread=\"work\"\n"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn missing_lines_are_named_in_the_form_of_all_lines() {
    let line = |format| String::from_utf8(gap(format, false, 7)).unwrap();
    let said = "stderr took no more, log lines are missing here";
    let pretty = line(LogFormat::Pretty);
    assert!(
        pretty.ends_with(&format!("Z  WARN {said} lines=7\n")),
        "{pretty}"
    );
    let json = line(LogFormat::Json);
    let fields = format!(r#","level":"WARN","message":"{said}","lines":7}}"#) + "\n";
    assert!(json.starts_with('{') && json.ends_with(&fields), "{json}");
}

#[test]
fn text_of_a_peer_cannot_forge_a_line_or_steer_a_terminal() {
    let lines = logged_lines(LogLevel::Info, || {
        let evil = "a\nb\r\u{1b}[31mc\u{9b}d";
        info!(reason = %evil, "peer says {evil}");
    });
    let escaped = r"a\nb\r\u{1b}[31mc\u{9b}d";
    assert_eq!(
        lines,
        [format!(" INFO peer says {escaped} reason={escaped}")]
    );
}

#[test]
fn an_error_is_logged_with_its_sources() {
    let lines = logged_lines(LogLevel::Info, || {
        let error = DialError(io::Error::other("no route"));
        warn!(error = &error as &dyn Error, "tunnel lost");
    });
    assert_eq!(lines, [" WARN tunnel lost error=cannot dial: no route"]);
}

#[test]
fn dependencies_are_heard_at_warn_at_most_unless_all_is_traced() {
    let events = || {
        tracing::event!(target: "hyper", Level::DEBUG, "frame");
        tracing::event!(target: "rustls", Level::WARN, "odd");
        debug!("ours");
    };
    let logged = |level| logged_lines(level, events);
    assert!(logged(LogLevel::Error).is_empty());
    assert_eq!(logged(LogLevel::Info), [" WARN odd"]);
    assert_eq!(logged(LogLevel::Debug), [" WARN odd", "DEBUG ours"]);
    assert_eq!(
        logged(LogLevel::Trace),
        ["DEBUG frame", " WARN odd", "DEBUG ours"]
    );
}

#[test]
fn what_the_protocols_say_of_peers_is_left_to_our_own_events() {
    let events = || {
        tracing::event!(target: "h2::codec", Level::WARN, "too many resets");
        tracing::event!(target: "yamux::connection", Level::ERROR, "invalid stream id");
    };
    assert!(logged_lines(LogLevel::Debug, events).is_empty());
    assert_eq!(logged_lines(LogLevel::Trace, events).len(), 2);
}

#[test]
fn values_are_bare_when_displayed_and_spans_come_first() {
    let lines = logged_lines(LogLevel::Debug, || {
        let span = debug_span!("tunnel", client_id = %"rainbow", port = 1);
        let _entered = span.enter();
        info!(address = %"[::1]:7592", "listening");
    });
    assert_eq!(
        lines,
        [" INFO tunnel{client_id=rainbow port=1}: listening address=[::1]:7592"]
    );
}

#[test]
fn json_events_have_flat_fields_and_every_span() {
    let text = logged(LogLevel::Info, LogFormat::Json, true, || {
        let tunnel = tracing::info_span!("tunnel", client_id = %"rainbow");
        let _entered = tunnel.enter();
        info!(calls = 2, "draining\n");
    });
    let (time, rest) = text.split_once(',').unwrap();
    assert!(time.starts_with(r#"{"timestamp":""#) && time.ends_with("Z\""));
    assert_eq!(
        rest,
        r#""level":"INFO","message":"draining\n","calls":2,"spans":[{"client_id":"rainbow","name":"tunnel"}]}"#
            .to_owned()
            + "\n"
    );
}

#[test]
fn colours_are_written_only_when_wanted() {
    let escapes = |colour| {
        logged(LogLevel::Info, LogFormat::Pretty, colour, || info!("hello")).contains('\u{1b}')
    };
    assert!(escapes(true));
    assert!(!escapes(false));
}

#[test]
fn the_level_can_change_while_spans_are_open() {
    let lines = Lines::default();
    let writer = lines.clone();
    let (subscriber, verbosity) = subscriber(
        LogLevel::Info,
        LogFormat::Pretty,
        move || writer.clone(),
        false,
    );
    tracing::subscriber::with_default(subscriber, || {
        let _entered = tracing::info_span!("tunnel", client_id = "rainbow").entered();
        debug!("not yet");
        verbosity.set(LogLevel::Debug);
        debug!("now");
        verbosity.set(LogLevel::Error);
        info!("not any more");
    });
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(
        text.ends_with("DEBUG tunnel{client_id=\"rainbow\"}: now\n"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1, "{text}");
}
