//! The command line beside the edge itself: what there is to ask at a proxy address, and for operators to do.
//!
//! `list` shows the edges that callers can reach, `watch` what happens to them, and `check` makes calls to one and says
//! what is wrong. `kick`, `unban` and `bans` are for a server's operator listener. Each prints a table for people, or with
//! `--json` one object per line for scripts. Texts that come from elsewhere are made harmless before a terminal sees them.

mod advice;
mod args;
mod channel;
mod check;
mod discovery;
mod list;
mod listed;
mod operator;
mod output;
mod place;
mod status;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

use args::{Asked, Question};
use output::{End, Output, aside};

/// The exit code of wrong arguments, as of the edge itself.
const USAGE: u8 = 2;

/// Does what the subcommand asks that comes first among a program's arguments; `None` when none does, so that an edge
/// is to be run.
///
/// ```
/// use grpc_multiplexer_client::subcommand;
///
/// let edge = ["grpc-multiplexer-client", "--client-id", "rainbow"];
/// assert!(subcommand(edge.map(Into::into)).is_none());
/// ```
///
/// The exit code is 0 when all is well, 1 when a check found something wrong or there is no answer, and 2 for wrong
/// arguments.
pub fn subcommand(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let args: Vec<_> = args.into_iter().collect();
    if !args::is_subcommand(args.get(1)?) {
        return None;
    }
    Some(match args::parse(args) {
        Ok(asked) => answer(&asked),
        Err(error) => {
            // Nobody to tell, if that fails.
            let _ = error.print();
            match error.exit_code() {
                0 => ExitCode::SUCCESS,
                _ => USAGE.into(),
            }
        }
    })
}

fn answer(asked: &Asked) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(ask(asked));
            // A name lookup under way must not hold the process.
            runtime.shutdown_background();
            ended
        }
        Err(error) => Err(End::Failed(format!("cannot start: {error}"))),
    };
    match ended {
        Ok(true) | Err(End::Unread) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(End::Failed(why)) => {
            aside(format_args!("grpc-multiplexer-client: {why}"));
            ExitCode::FAILURE
        }
    }
}

/// Whether all is well.
async fn ask(asked: &Asked) -> Result<bool, End> {
    let output = Output::new(asked.json);
    match &asked.question {
        Question::List(proxy) => list::list(proxy, &output).await.map(|()| true),
        Question::Watch(proxy) => match watch::watch(proxy, &output).await? {},
        Question::Check(proxy, id) => check::check(proxy, id, &output).await,
        Question::Order(order, at) => {
            let done = operator::carry_out(order, at, &output).await;
            done.map(|()| true)
        }
    }
}
