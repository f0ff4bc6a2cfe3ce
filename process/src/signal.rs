//! Signals that end the process, turned into tokens, and the one that asks it to read its configuration again.
//!
//! The first SIGTERM or Ctrl-C means "please finish", the second one "at once". What finishing is, and how long it may
//! take, is for the owner of the tokens to say; a third signal says nothing new.

use std::io;
use std::time::Duration;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
#[cfg(windows)]
use tokio::signal::windows::{CtrlC, ctrl_c};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Installed signal handlers, and the tokens they cancel while [`run`](Self::run) runs.
///
/// The handlers stay for the life of the process, so once there were `Signals`, signals alone no longer end it.
#[derive(Debug)]
pub(crate) struct Signals {
    finish: CancellationToken,
    sources: Sources,
}

/// The same signal once more within this of the first is the same wish: `timeout` and others send it to the process and to
/// its group.
const ONE_WISH: Duration = Duration::from_millis(250);

impl Signals {
    /// Installs the handlers; a signal that arrives from now on is kept until [`run`](Self::run) sees it.
    ///
    /// Equal signals that arrive between two looks count as one.
    ///
    /// # Errors
    ///
    /// When the system refuses a handler.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O enabled.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            finish: CancellationToken::new(),
            sources: Sources::install()?,
        })
    }

    /// Cancelled by the first signal: finish what is under way, take nothing new.
    #[must_use]
    pub(crate) fn finish(&self) -> CancellationToken {
        self.finish.clone()
    }

    /// Cancels the token at the first signal, and returns at the second: stop at once then.
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves the tokens as they are, and further signals have no effect.
    pub(crate) async fn run(mut self) {
        let signal = self.sources.next().await;
        tracing::info!(signal, "signal received, finishing");
        self.finish.cancel();
        let asked = Instant::now();
        let first = signal;
        let signal = loop {
            let signal = self.sources.next().await;
            if signal != first || asked.elapsed() > ONE_WISH {
                break signal;
            }
        };
        tracing::info!(signal, "second signal received, stopping at once");
    }
}

#[cfg(unix)]
#[derive(Debug)]
struct Sources {
    terminate: Signal,
    interrupt: Signal,
}

#[cfg(unix)]
impl Sources {
    fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The name of the next signal. Both arms are cancel-safe.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(windows)]
#[derive(Debug)]
struct Sources {
    ctrl_c: CtrlC,
}

#[cfg(windows)]
impl Sources {
    fn install() -> io::Result<Self> {
        Ok(Self { ctrl_c: ctrl_c()? })
    }

    /// The name of the next signal.
    async fn next(&mut self) -> &'static str {
        self.ctrl_c.recv().await;
        "Ctrl-C"
    }
}

/// The installed handler of SIGHUP, which without one would end the process. Windows has no such signal.
#[derive(Debug)]
pub(crate) struct Hangups {
    #[cfg(unix)]
    hangup: Signal,
}

impl Hangups {
    /// Installs the handler; a signal that arrives from now on is kept until [`next`](Self::next) sees it.
    ///
    /// # Errors
    ///
    /// When the system refuses a handler.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O enabled.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one; those that arrive between two looks count as one.
    ///
    /// # Cancel safety
    ///
    /// No signal is lost.
    pub(crate) async fn next(&mut self) {
        #[cfg(unix)]
        self.hangup.recv().await;
        #[cfg(not(unix))]
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::process::Command;

    use tokio::task::JoinSet;
    use tokio::time::timeout;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(10);

    /// A shell's own `kill` is there on every unix.
    fn send_to_self(signal: &str) {
        let kill = format!("kill -s {signal} {}", std::process::id());
        let status = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(status.success());
    }

    /// One test for all: signals reach the whole process, so tests of them would disturb each other.
    #[tokio::test]
    async fn first_signal_asks_to_finish_and_second_to_stop_at_once() {
        let signals = Signals::listen().unwrap();
        let finish = signals.finish();

        // Sent before anything runs: it must not be lost.
        send_to_self("TERM");
        assert!(!finish.is_cancelled());
        let mut tasks = JoinSet::new();
        tasks.spawn(signals.run());
        timeout(DEADLINE, finish.cancelled()).await.unwrap();
        // The same once more, at once, as `timeout` sends it.
        send_to_self("TERM");
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(tasks.try_join_next().is_none());

        send_to_self("INT");
        let stopped = timeout(DEADLINE, tasks.join_next()).await;
        stopped.unwrap().unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_hangup_is_kept_until_it_is_looked_for_and_ends_nothing() {
        let mut hangups = Hangups::listen().unwrap();
        for _ in 0..2 {
            send_to_self("HUP");
            timeout(DEADLINE, hangups.next()).await.unwrap();
        }
    }
}
