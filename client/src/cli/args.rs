//! The subcommands and their options.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command};
use grpc_multiplexer_tunnel::ClientId;

use super::operator::{self, Order};
use super::place::{Kind, OPERATOR, PROXY, Place};

const JSON: &str = "json";
const ID: &str = "CLIENT_ID";

/// What scripts may rely on.
const LIST_JSON: &str = "\
With --json, each edge is an object with client_id, connected_since (RFC 3339, by the server's clock), remote_address, \
heartbeat_rtt_seconds (null before the first heartbeat), calls_in_flight, generation (grows with every registration), \
version, labels and context (what the server's hook says of the edge). A server that tells names only leaves the others null.";
const WATCH_JSON: &str = "\
With --json, each event is an object with time (RFC 3339) and event. About an edge: present (it was there already), \
connected, disconnected and updated have client_id, revision, edge, which is an object as `list` prints it, or null, \
and reason, which is an operator's who brought it about, or null. \
About the watch: snapshot-end (all that were there have been told), resync (events were lost, and a snapshot follows), \
server-lost with its reason, and server-back, after which a snapshot follows.";
const CHECK_JSON: &str = "\
The exit code is 0 when nothing is wrong, 1 when something is, and 2 for wrong arguments.

With --json, each step is an object with step, result (ok, fail or skipped), text, advice (null unless it failed), \
seconds (what it took) and values: the figures of latency are calls, min_seconds and median_seconds, that of \
reflection is services; null elsewhere.";

/// What a user asks, and of whom.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) json: bool,
    pub(super) question: Question,
}

#[derive(Debug)]
pub(super) enum Question {
    /// Of a proxy.
    List(Arc<Place>),
    Watch(Arc<Place>),
    Check(Arc<Place>, ClientId),
    /// Of a server's operator listener.
    Order(Order, Arc<Place>),
}

/// Whether a program's first argument is a subcommand, or meant to be: an edge takes options only.
pub(super) fn is_subcommand(first: &OsStr) -> bool {
    first.to_str().is_some_and(|first| !first.starts_with('-'))
}

/// Reads a program's arguments, of which the first is its name.
///
/// # Errors
///
/// When they are wrong, or ask for help.
pub(super) fn parse(args: Vec<OsString>) -> Result<Asked, clap::Error> {
    let matches = command().try_get_matches_from(args)?;
    let (name, matches) = matches.subcommand().expect("clap requires one");
    let question = match operator::order(name, matches) {
        Some(order) => Question::Order(order, place(&OPERATOR, matches)?),
        None => ask(name, matches)?,
    };
    Ok(Asked {
        json: matches.get_flag(JSON),
        question,
    })
}

fn ask(name: &str, matches: &ArgMatches) -> Result<Question, clap::Error> {
    let proxy = place(&PROXY, matches)?;
    Ok(match name {
        "list" => Question::List(proxy),
        "watch" => Question::Watch(proxy),
        _ => {
            let id = matches.get_one::<ClientId>(ID);
            Question::Check(proxy, id.expect("clap requires one").clone())
        }
    })
}

fn place(kind: &'static Kind, matches: &ArgMatches) -> Result<Arc<Place>, clap::Error> {
    let read = kind.read(matches).map(Arc::new);
    read.map_err(|mistakes| command().error(ErrorKind::ValueValidation, mistakes))
}

fn command() -> Command {
    let name = crate::PROGRAM.name;
    let of_operators = operator::commands().map(|command| command.arg(json()));
    let list = subcommand(
        "list",
        "Lists the edges that callers can reach now",
        LIST_JSON,
    );
    let watch = subcommand(
        "watch",
        "Shows the edges that callers can reach now, and every change from then on, until Ctrl-C",
        WATCH_JSON,
    );
    let check = subcommand(
        "check",
        "Makes calls to an edge through the proxy, and says step by step what is wrong",
        CHECK_JSON,
    );
    let id = Arg::new(ID)
        .required(true)
        .help("The edge's name, as callers put it into their `client-id` metadata")
        .value_parser(|text: &str| text.parse::<ClientId>());
    Command::new(name)
        .bin_name(name)
        .version(crate::PROGRAM.version)
        .max_term_width(100)
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .subcommands([list, watch, check.arg(id)])
        .subcommands(of_operators)
}

fn json() -> Arg {
    Arg::new(JSON)
        .long(JSON)
        .action(ArgAction::SetTrue)
        .help("Print one JSON object per line")
}

fn subcommand(name: &'static str, about: &'static str, objects: &'static str) -> Command {
    Command::new(name)
        .about(about)
        .args(PROXY.args())
        .arg(json())
        .after_help(objects)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_subcommands_make_a_command_line() {
        super::command().debug_assert();
    }
}
