//! Workloads on one machine, without any delay: every path is up, and each has its turn in every round.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;

use crate::backend::Down;
use crate::cost::Meter;
use crate::load::{
    Calls, Connection, Flow, at_rate, down, message, messages, one_after_the_other, up,
};
use crate::options::Options;
use crate::paths::{Path, World};
use crate::results::{Measure, Results, Sample, times};

/// One workload.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    load: Load,
}

#[derive(Debug, Clone, Copy)]
enum Load {
    /// Connections, calls in flight on each, bytes in each direction.
    Closed(usize, usize, usize),
    /// Connections, calls a second.
    Open(usize, f64),
    /// Bytes in each message.
    Down(u32),
    /// The same, and the caller looks at each.
    Messages(u32),
    /// And the backend is that on grpc-go.
    OfGo(u32),
    Up(usize),
}

/// Bytes of a small message.
const SMALL: usize = 32;
const BULK: usize = 64 * 1024;
/// Of a closed loop, and of a stream.
const TIME: Duration = Duration::from_millis(800);
/// Of an open loop: as many calls in each round as a 99th percentile needs.
const LONG: Duration = Duration::from_secs(2);
/// Before it counts.
const WARM: Duration = Duration::from_millis(50);

/// All of them.
pub(crate) const CELLS: &[Cell] = &[
    Cell {
        name: "unary-1x1",
        title: "Unary, 32 B, one call at a time",
        load: Load::Closed(1, 1, SMALL),
    },
    Cell {
        name: "unary-1x64",
        title: "Unary, 32 B, 64 calls in flight on one connection",
        load: Load::Closed(1, 64, SMALL),
    },
    Cell {
        name: "unary-8x8",
        title: "Unary, 32 B, 8 calls in flight on each of 8 connections",
        load: Load::Closed(8, 8, SMALL),
    },
    Cell {
        name: "unary-64x8",
        title: "Unary, 32 B, 8 calls in flight on each of 64 connections",
        load: Load::Closed(64, 8, SMALL),
    },
    Cell {
        name: "unary-at-1000",
        title: "Unary, 32 B, 1,000 calls a second over 8 connections, each counted from when it was to begin",
        load: Load::Open(8, 1000.0),
    },
    Cell {
        name: "unary-64k",
        title: "Unary, 64 KiB each way, 4 calls in flight on each of 8 connections",
        load: Load::Closed(8, 4, BULK),
    },
    Cell {
        name: "unary-1m",
        title: "Unary, 1 MiB each way, one call at a time on each of 4 connections",
        load: Load::Closed(4, 1, 1024 * 1024),
    },
    Cell {
        name: "down-64k",
        title: "One call that streams messages of 64 KiB to its caller",
        load: Load::Down(64 * 1024),
    },
    Cell {
        name: "up-64k",
        title: "One call that streams messages of 64 KiB to the backend",
        load: Load::Up(BULK),
    },
    Cell {
        name: "down-100",
        title: "One call that streams messages of 100 B to its caller",
        load: Load::Messages(100),
    },
    Cell {
        name: "down-100-go",
        title: "The same from a backend on grpc-go, which sends each in a DATA frame of its own",
        load: Load::OfGo(100),
    },
];

impl Cell {
    /// What is counted: calls, messages or MB.
    pub(crate) fn unit(&self) -> &'static str {
        match self.load {
            Load::Closed(..) | Load::Open(..) => "calls/s",
            Load::Messages(_) | Load::OfGo(_) => "messages/s",
            Load::Down(_) | Load::Up(_) => "MB/s",
        }
    }

    /// Whether its backend is that on grpc-go.
    pub(crate) fn is_of_go(&self) -> bool {
        matches!(self.load, Load::OfGo(_))
    }

    /// Of what the cost is told.
    pub(crate) fn each(&self) -> &'static str {
        if self.is_stream() { "MB" } else { "call" }
    }

    pub(crate) fn is_stream(&self) -> bool {
        !matches!(self.load, Load::Closed(..) | Load::Open(..))
    }

    async fn run(&self, path: &Path, results: &mut Results) -> anyhow::Result<Sample> {
        match self.load {
            Load::Closed(connections, in_flight, size) => {
                let load = async |connections: &[Connection], body: &Bytes, time| {
                    one_after_the_other(connections, in_flight, body, time).await
                };
                unary(path, results, connections, size, TIME, load).await
            }
            Load::Open(connections, rate) => {
                let load = async |connections: &[Connection], body: &Bytes, time| {
                    at_rate(connections, rate, body, time).await
                };
                unary(path, results, connections, SMALL, LONG, load).await
            }
            Load::Down(size) => {
                let connection = Connection::to(&path.target).await?;
                downloaded(path, size, async |what| down(&connection, what).await).await
            }
            Load::Messages(size) | Load::OfGo(size) => {
                downloaded(path, size, async |what| messages(&path.target, what).await).await
            }
            Load::Up(size) => {
                let connection = Connection::to(&path.target).await?;
                up(&connection, size, WARM).await?;
                let meter = Meter::start(path);
                let flow = up(&connection, size, TIME).await?;
                Ok(streamed(&flow, u32::try_from(size)?, meter))
            }
        }
    }
}

async fn unary(
    path: &Path,
    results: &mut Results,
    connections: usize,
    size: usize,
    time: Duration,
    load: impl AsyncFn(&[Connection], &Bytes, Duration) -> Calls,
) -> anyhow::Result<Sample> {
    let connections = Connection::many(&path.target, connections).await?;
    let body = message(&vec![b'x'; size]);
    let warm = one_after_the_other(&connections, 1, &body, WARM).await;
    results.failures.and(warm.failures);
    let meter = Meter::start(path);
    let mut calls = load(&connections, &body, time).await;
    let answered = calls.took.len() as f64;
    let mut sample = Sample::from([(Measure::Rate, answered / calls.all.as_secs_f64())]);
    meter.stop(&mut sample, answered);
    times(&mut sample, &mut calls);
    results.failures.and(calls.failures);
    Ok(sample)
}

/// Small calls that follow each other, 8 in flight on each of 8 connections.
pub(super) async fn small_calls(
    path: &Path,
    results: &mut Results,
    time: Duration,
) -> anyhow::Result<Sample> {
    let load = async |connections: &[Connection], body: &Bytes, time| {
        one_after_the_other(connections, 8, body, time).await
    };
    unary(path, results, 8, SMALL, time, load).await
}

async fn downloaded(
    path: &Path,
    size: u32,
    down: impl AsyncFn(Down) -> anyhow::Result<Flow>,
) -> anyhow::Result<Sample> {
    down(Down::for_time(size, WARM)).await?;
    let meter = Meter::start(path);
    let flow = down(Down::for_time(size, TIME)).await?;
    Ok(streamed(&flow, size, meter))
}

fn streamed(flow: &Flow, size: u32, meter: Meter) -> Sample {
    let mb = flow.total() as f64 / 1e6;
    let a_second = mb / flow.took().as_secs_f64();
    let rate = if size < 1024 {
        a_second * 1e6 / f64::from(size + 5)
    } else {
        a_second
    };
    let mut sample = Sample::from([(Measure::Rate, rate)]);
    meter.stop(&mut sample, mb);
    sample
}

/// Those that are wanted.
pub(crate) fn wanted(options: &Options) -> Vec<&'static Cell> {
    let cells = CELLS.iter().filter(|cell| options.wants(cell.name));
    cells.collect()
}

/// Runs cells on all paths, in turns. A path on which one cannot be run is left out from then on.
pub(crate) async fn run(world: &World, cells: &[&Cell], options: &Options, results: &mut Results) {
    let mut paths: Vec<&Path> = world.paths.iter().collect();
    // The first round is thrown away.
    for round in 0..=options.rounds {
        for cell in cells {
            eprintln!("bench: round {round} of {}: {}", options.rounds, cell.name);
            let mut broken = Vec::new();
            for path in &paths {
                let what = || format!("{} on {}", cell.name, path.name);
                match cell.run(path, results).await.with_context(what) {
                    Ok(sample) if round > 0 => results.add(cell.name, &path.name, sample),
                    Ok(_) => (),
                    Err(error) => {
                        results.note(Err(error));
                        broken.push(path.name.clone());
                    }
                }
            }
            // What it has by now stays comparable: its rounds are the first of all.
            paths.retain(|path| !broken.contains(&path.name));
        }
        // Nobody always comes after the same neighbour's noise.
        let first = usize::from(!paths.is_empty());
        paths.rotate_left(first);
    }
}
