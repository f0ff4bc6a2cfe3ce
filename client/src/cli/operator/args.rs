//! The subcommands of operators, and their options.

use std::time::Duration;

use clap::{Arg, ArgMatches, Command};
use grpc_multiplexer_process::duration;
use grpc_multiplexer_tunnel::ClientId;

use super::super::place::OPERATOR;
use super::Order;

const REASON: &str = "reason";
const BAN: &str = "ban";
const ID: &str = "CLIENT_ID";

const KICK_JSON: &str = "\
With --json, what was done is an object with client_id, tunnels (that were closed) and ban_seconds (0 for none).";
const UNBAN_JSON: &str = "With --json, what was done is an object with client_id.";
const BANS_JSON: &str =
    "With --json, each ban is an object with client_id, left_seconds and reason.";

/// The subcommands.
pub(in crate::cli) fn commands() -> [Command; 3] {
    let id = Arg::new(ID)
        .required(true)
        .help("The edge's name, as callers put it into their `client-id` metadata")
        .value_parser(|text: &str| text.parse::<ClientId>());
    let reason = Arg::new(REASON)
        .long(REASON)
        .value_name("TEXT")
        .required(true)
        .help("Why, in one line: it is in the edge's log, in the server's, and in what discovery tells");
    let ban = Arg::new(BAN)
        .long(BAN)
        .value_name("DURATION")
        .default_value("0")
        .help("For how long no edge gets the name from now on; 0 lets it come again at once")
        .value_parser(duration);
    let kick =
        "Closes the tunnels of an edge, with the calls on them, and keeps it out for a while";
    [
        command("kick", kick, KICK_JSON).args([id.clone(), reason, ban]),
        command(
            "unban",
            "Lets an edge connect again that is kept out",
            UNBAN_JSON,
        )
        .arg(id),
        command("bans", "Lists the edges that are kept out", BANS_JSON),
    ]
}

fn command(name: &'static str, about: &'static str, objects: &'static str) -> Command {
    Command::new(name)
        .about(about)
        .args(OPERATOR.args())
        .after_help(objects)
}

/// What one of the subcommands asks for; `None` for another one.
pub(in crate::cli) fn order(name: &str, matches: &ArgMatches) -> Option<Order> {
    let id = || matches.get_one::<ClientId>(ID).cloned();
    match name {
        "kick" => Some(Order::Kick {
            id: id()?,
            reason: matches.get_one::<String>(REASON)?.clone(),
            ban: *matches.get_one::<Duration>(BAN)?,
        }),
        "unban" => Some(Order::Unban(id()?)),
        "bans" => Some(Order::Bans),
        _ => None,
    }
}
