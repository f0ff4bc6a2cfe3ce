//! Parsers of the values that options of both binaries take; their errors say what would be right.

mod boolean;
mod count;
mod duration;
mod host_port;
mod log;
mod size;

pub use boolean::{BooleanError, boolean};
pub use count::{CountError, count};
pub use duration::{DurationError, duration};
pub use host_port::{HostPort, HostPortError};
pub(crate) use log::{LogFormat, LogLevel, log_format, log_level};
pub use size::{Portion, PortionError, SizeError, portion, size};
