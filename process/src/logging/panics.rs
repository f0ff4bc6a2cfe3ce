//! Panics as events of the log, which stay a line each and hold nobody up.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};
use std::thread;

use tracing::error;
use tracing::field;

/// Logs every panic from now on, in place of what is printed on stderr by default.
pub(super) fn log() {
    panic::set_hook(Box::new(event));
}

fn event(info: &PanicHookInfo<'_>) {
    // Asked for with RUST_BACKTRACE, as ever.
    let backtrace = Backtrace::capture();
    let captured = backtrace.status() == BacktraceStatus::Captured;
    error!(
        reason = reason(info),
        location = info.location().map(field::display),
        thread = thread::current().name(),
        backtrace = captured.then(|| field::display(&backtrace)),
        "panicked, which is a bug"
    );
}

fn reason<'a>(info: &'a PanicHookInfo<'_>) -> Option<&'a str> {
    let payload = info.payload();
    let formatted = payload.downcast_ref::<String>().map(String::as_str);
    formatted.or_else(|| payload.downcast_ref::<&str>().copied())
}
