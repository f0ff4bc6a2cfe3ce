//! `new-token`: a token for an edge, and its line for the server.
//!
//! The token goes into a file of its own and nowhere else; what is printed is the line, without the token.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};
use rand::Rng as _;

use super::{Secrecy, say, write};
use crate::credential::{Grant, hex, line};

const FILE: &str = "FILE";
const ID: &str = "CLIENT_ID";

pub(super) fn command() -> Command {
    let file = Arg::new(FILE)
        .required(true)
        .value_parser(value_parser!(PathBuf))
        .help("The token is written here, for the edge's --token-file, or --enrolment-token-file; there must be no such file yet");
    let id = Arg::new(ID)
        .required(true)
        .num_args(1..)
        .value_parser(Grant::parse)
        .help("A client id that the token grants, or what they begin with and *");
    Command::new("new-token")
        .about("Makes a token for an edge, and prints its line for the server's --edges-tokens, or --edges-enrolment")
        .args([file, id])
}

pub(super) fn run(given: &ArgMatches) -> Result<(), String> {
    let file = given.get_one::<PathBuf>(FILE).expect("clap requires one");
    let grants: Vec<_> = given
        .get_many::<Grant>(ID)
        .expect("clap requires one")
        .cloned()
        .collect();
    let token = hex(&rand::rng().random::<[u8; 32]>());
    write(file, &format!("{token}\n"), Secrecy::Secret)?;
    say(format_args!("{}", line(&token, &grants)))
}
