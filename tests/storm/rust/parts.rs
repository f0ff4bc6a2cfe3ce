//! The processes: servers, and those that hold edges.

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use grpc_multiplexer_tests::{Mux, Process, isolated, metric};
use tokio::time::{Instant, interval};

/// No comeback takes longer.
const LIMIT: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(250);
/// What Linux counts a process's time in, on every machine it runs on (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Starts a server that takes so many tunnels and is otherwise as it comes.
pub(crate) async fn server(proxy: &str, multiplexer: &str, tunnels: usize) -> anyhow::Result<Mux> {
    let program = env::current_exe()?.with_file_name("grpc-multiplexer-server");
    let mut command = isolated(program);
    command.args(["--proxy-listener", proxy]);
    command.args(["--multiplexer-listener", multiplexer]);
    command.args(["--admin-listener", "127.0.0.1:0"]);
    command.args(["--max-tunnels", &tunnels.to_string()]);
    Ok(Mux::of(Process::of(command)).await)
}

/// Starts a process with so many edges of `server`.
pub(crate) fn edges(server: SocketAddr, name: &str, count: usize) -> anyhow::Result<Process> {
    let mut command = isolated(env::current_exe()?);
    command.args(["edges", &server.to_string(), name, &count.to_string()]);
    Ok(Process::of(command))
}

/// How long it took until a half, 99 %, and all of the tunnels were up.
#[derive(Debug)]
pub(crate) struct Comeback {
    pub(crate) half: Duration,
    pub(crate) most: Duration,
    pub(crate) all: Duration,
}

/// Waits until a server has all its tunnels.
pub(crate) async fn comeback(
    server: &Mux,
    tunnels: usize,
    since: Instant,
) -> anyhow::Result<Comeback> {
    let (mut half, mut most) = (None, None);
    let mut ticks = interval(LOOK);
    loop {
        ticks.tick().await;
        let up = metric(server.admin, "tunnels").await as usize;
        let took = since.elapsed();
        if up >= tunnels / 2 {
            half.get_or_insert(took);
        }
        if up >= tunnels - tunnels / 100 {
            most.get_or_insert(took);
        }
        if up >= tunnels {
            let (half, most) = (half.unwrap_or(took), most.unwrap_or(took));
            return Ok(Comeback {
                half,
                most,
                all: took,
            });
        }
        ensure!(took < LIMIT, "after {took:?} only {up} of {tunnels} are up");
    }
}

/// Waits until a server has no more tunnels than that.
pub(crate) async fn gone(server: &Mux, rest: usize) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut ticks = interval(LOOK);
    while metric(server.admin, "tunnels").await as usize > rest {
        ensure!(start.elapsed() < LIMIT, "tunnels stay up without edges");
        ticks.tick().await;
    }
    Ok(())
}

/// Processor time that a process used so far.
pub(crate) fn processor_time(process: &Process) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid()))?;
    // After the name, which may have spaces: state is the 3rd field of all, user and system time are 14th and 15th.
    let (_, fields) = stat.rsplit_once(')').context("no name")?;
    let times = fields.split_whitespace().skip(11).take(2);
    let ticks: Result<Vec<f64>, _> = times.map(str::parse).collect();
    let seconds = ticks?.iter().sum::<f64>() / TICKS_PER_SECOND;
    Ok(Duration::from_secs_f64(seconds))
}
