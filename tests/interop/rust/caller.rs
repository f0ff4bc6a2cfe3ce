//! `interop-caller`: runs gRPC's interop cases with tonic, and prints how each ended and their sum.
//!
//! Usage: interop-caller ADDRESS CLIENT_ID LABEL CASE...; an empty CLIENT_ID calls without one.

mod cases;
mod flags;
mod peer;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;

use crate::peer::Peer;

const TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |name| {
        arguments
            .next()
            .with_context(|| format!("{name} is missing"))
    };
    let (address, client_id, label) = (next("ADDRESS")?, next("CLIENT_ID")?, next("LABEL")?);
    let peer = Peer::new(&address, &client_id)?;
    let names: Vec<_> = arguments.collect();
    let mut passed = 0;
    for name in &names {
        match run(name, &peer).await {
            Ok(()) => {
                passed += 1;
                say(format_args!("ok   {label}: {name}"));
            }
            Err(error) => say(format_args!("FAIL {label}: {name}: {error:#}")),
        }
    }
    say(format_args!("{passed}/{} {label}", names.len()));
    Ok(ExitCode::from(u8::from(passed != names.len())))
}

async fn run(name: &str, peer: &Peer) -> anyhow::Result<()> {
    tokio::time::timeout(TIMEOUT, cases::run(name, peer))
        .await
        .context("not done in time")?
}

#[expect(clippy::print_stdout, reason = "the results are what this prints")]
fn say(line: std::fmt::Arguments<'_>) {
    println!("{line}");
}
