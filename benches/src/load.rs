//! Calls, made on the h2 crate without anything between, but for small messages: the load shares the machine with what it
//! measures.

mod amount;
mod call;
mod connection;
mod messages;
mod stream;
mod unary;

pub(crate) use amount::Amount;
pub(crate) use call::{Failures, begin, end, message};
pub(crate) use connection::{Connection, Target};
pub(crate) use messages::messages;
pub(crate) use stream::{Flow, down, paused, up};
pub(crate) use unary::{Calls, at_rate, innocents, one_after_the_other};
