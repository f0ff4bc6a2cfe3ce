//! `faults`: makes faults happen to real processes under load, and scores what became of the calls.
//!
//! `faults [--short] [--only F1,F7] [--baseline direct] [--json FILE] [--programs FOLDER]` runs the cases; each has a
//! world of its own. `faults --soak MINUTES [--seed N]` makes one fault after another happen to one world.

#![allow(
    clippy::unwrap_used,
    reason = "a harness that meets what it did not expect is over"
)]

mod backend;
mod baseline;
mod calls;
mod cases;
mod clock;
mod edges;
mod load;
mod names;
mod net;
mod options;
mod score;
mod soak;
mod suite;
mod verdict;
mod world;
mod worn;

use std::any::Any;
use std::fs;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use futures::FutureExt as _;
use tokio::time::{Instant, timeout};

use crate::baseline::{DIRECT, is_direct};
use crate::cases::{Case, How};
use crate::options::Options;
use crate::score::{NotRun, Score, Total};
use crate::suite::Suites;
use crate::world::PROGRAMS;

/// No case takes longer.
const LIMIT: Duration = Duration::from_secs(900);

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["backend", address, notes] => backend::run(address, notes).await?,
        ["edges", server, backend, from, to] => edges::run(server, backend, from, to).await?,
        _ => return run(Options::read(&args)?).await,
    }
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "the result")]
async fn run(options: Options) -> anyhow::Result<ExitCode> {
    if let Some(programs) = options.programs.clone() {
        PROGRAMS.get_or_init(|| programs);
    }
    if let Some(minutes) = options.soak {
        return soak::run(minutes, options.seed, options.json.as_deref()).await;
    }
    if options.direct {
        DIRECT.get_or_init(|| ());
    }
    let mut suites = Suites::default();
    let mut total = Total::default();
    for case in cases::all().iter().filter(|case| options.wants(case)) {
        let start = Instant::now();
        let result = played(case, &mut suites).await;
        let took = start.elapsed().as_secs();
        let (id, what) = (case.id, case.what);
        match &result {
            Ok(score) if score.survived() => println!("ok    {id:4} {what}: {score} [{took} s]"),
            Ok(score) => println!("FAIL  {id:4} {what}: {score} [{took} s]"),
            Err(reason) => println!("----  {id:4} {what}: not run: {reason}"),
        }
        total.add(id, what, result.as_ref().map_err(String::as_str));
    }
    println!("{total}");
    if let Some(file) = &options.json {
        let json = serde_json::to_string_pretty(&total.json())?;
        fs::write(file, json).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    Ok(ExitCode::from(u8::from(!total.all_survived())))
}

/// Runs one case; an error is the reason why that cannot be.
async fn played(case: &Case, suites: &mut Suites) -> Result<Score, String> {
    if let Some(reason) = is_direct().then(|| baseline::means_nothing(case)).flatten() {
        return Err(reason.to_owned());
    }
    let played = async {
        match case.how {
            How::World(play) => {
                let played = AssertUnwindSafe(play()).catch_unwind().await;
                played.unwrap_or_else(|panic| Err(said(&*panic)))
            }
            How::Test(suite, test) => suites.test(suite, test).await,
            How::Command(command) => suite::command(command).await,
        }
    };
    let late = |_| Err(anyhow!("not over after {LIMIT:?}"));
    let score = timeout(LIMIT, played).await.unwrap_or_else(late);
    score.or_else(|error| match error.downcast::<NotRun>() {
        Ok(NotRun(reason)) => Err(reason),
        Err(error) => Ok(Score {
            problems: vec![format!("{error:#}")],
            ..Score::default()
        }),
    })
}

/// What the harness itself fell over.
pub(crate) fn said(panic: &(dyn Any + Send)) -> anyhow::Error {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    anyhow!(text.unwrap_or_else(|| "a panic without words".to_owned()))
}
