//! `bench`: what calls cost through the multiplexer, beside calls without it and through others. `benches/run` says with which
//! options.
//!
//! The load is in this process, on one thread. `bench backend` is what it calls, in a process of its own.

mod backend;
mod cost;
mod edges;
mod instructions;
mod load;
mod machine;
mod metronome;
mod options;
mod paths;
mod peers;
mod product;
mod programs;
mod relay;
mod report;
mod results;
mod stats;
mod table;
mod targets;
mod workloads;

use std::process::ExitCode;

use anyhow::bail;
use tokio::signal::ctrl_c;
use tokio::signal::unix::{SignalKind, signal};

use crate::options::Options;
use crate::paths::{Backend, World};
use crate::programs::{PROGRAMS, backend_of_go};
use crate::results::Results;
use crate::workloads::loopback::Cell;
use crate::workloads::{beside, harm, idle, in_flight, line, loopback, mode, system_calls};

fn main() -> anyhow::Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["backend", address] => {
            many_threads()?.block_on(backend::run(address, backend::WINDOW))?;
        }
        ["backend", address, window] => {
            many_threads()?.block_on(backend::run(address, window.parse()?))?;
        }
        ["edges", server, count] => many_threads()?.block_on(edges::run(server, count, None))?,
        ["edges", server, count, ca] => {
            many_threads()?.block_on(edges::run(server, count, Some(ca)))?
        }
        ["relay", target, rtt, rate] => relay::run(target, rtt, rate)?,
        ["instructions", file, ref options @ ..] => {
            return one_thread()?.block_on(until_stopped(instructions::run(file, options)));
        }
        _ => return one_thread()?.block_on(until_stopped(run(Options::read(&args)?))),
    }
    Ok(ExitCode::SUCCESS)
}

/// What an ordinary server has.
fn many_threads() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}

fn one_thread() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

/// Whoever stops it does not leave its processes behind.
async fn until_stopped(
    running: impl Future<Output = anyhow::Result<ExitCode>>,
) -> anyhow::Result<ExitCode> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        biased;
        _ = terminated.recv() => bail!("terminated"),
        interrupted = ctrl_c() => {
            interrupted?;
            bail!("interrupted")
        }
        ran = running => ran,
    }
}

#[expect(clippy::print_stdout, reason = "the result")]
async fn run(options: Options) -> anyhow::Result<ExitCode> {
    if options.list {
        workloads::names().for_each(|name| println!("{name}"));
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(programs) = options.programs.clone() {
        PROGRAMS.get_or_init(|| programs);
    }
    println!("{}", machine::described()?);
    let mut results = Results::default();
    let ran = on_this_machine(&options, &mut results).await;
    results.note(ran);
    let ran = line::run(&options, &mut results).await;
    results.note(ran);
    let ran = mode::run(&options, &mut results).await;
    results.note(ran);
    let ran = beside::run(&options, &mut results).await;
    results.note(ran);
    let ran = idle::run(&options, &mut results).await;
    results.note(ran);
    let ran = in_flight::run(&options, &mut results).await;
    results.note(ran);
    let ran = system_calls::run(&options, &mut results).await;
    results.note(ran);
    for table in report::others(&results) {
        println!("{table}");
    }
    let (table, missed) = targets::judged(&results);
    println!("{table}");
    println!("Calls, and runs: {}", results.failures);
    let failed = results.failures.count() > 0 || (options.must && missed);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// What needs all paths at once.
async fn on_this_machine(options: &Options, results: &mut Results) -> anyhow::Result<()> {
    let cells = loopback::wanted(options).into_iter();
    let (of_go, cells): (Vec<_>, Vec<_>) = cells.partition(|cell| cell.is_of_go());
    if !cells.is_empty() || harm::wanted(options) {
        let backend = Backend::at(&options.backend).await?;
        let world = World::start(backend, options).await?;
        in_turns(&world, &cells, options, results).await;
        let ran = harm::run(&world, options, results).await;
        world.end().await;
        ran?;
    }
    if of_go.is_empty() {
        return Ok(());
    }
    let Some(program) = backend_of_go() else {
        eprintln!(
            "bench: nothing from grpc-go: benches/run builds a backend where there is go; apt-get install golang-go"
        );
        return Ok(());
    };
    let backend = Backend::of_go(program, &options.backend).await?;
    let world = World::start(backend, options).await?;
    in_turns(&world, &of_go, options, results).await;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the result")]
async fn in_turns(world: &World, cells: &[&Cell], options: &Options, results: &mut Results) {
    loopback::run(world, cells, options, results).await;
    for cell in cells {
        println!("{}", report::loopback(cell, &world.paths, results));
    }
}
