//! What is counted: each a fixed number of the same thing, so that what a count depends on is the program.

use anyhow::ensure;
use grpc_multiplexer_client::{Backend as NoBackend, Edge, HostPort};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::bed::Whose;
use crate::backend::Down;
use crate::load::{Amount, Connection, Target, down, message, one_after_the_other};
use crate::paths::EDGE;
use crate::product::Mux;

/// Something that is done so often.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) name: &'static str,
    load: Load,
    /// So often that heartbeats and timers, 90,000 instructions a second, are nothing beside it.
    pub(super) times: usize,
    /// Whose count of it is steady. How many small pieces an edge reads at once stays chance: counts of these spread by 20 %
    /// and more.
    pub(super) counts: &'static [Whose],
}

#[derive(Debug, Clone, Copy)]
enum Load {
    /// Calls over so many connections, with so many in flight on each, and so many bytes each way.
    Calls(usize, usize, usize),
    /// A MiB of messages of 64 KiB to the caller. Counts of the other way spread by 20 %: how windows grow, and into what
    /// pieces a MiB falls then, is chance there.
    Down,
    /// A thousand messages of 100 B, each in a frame of its own. With as many in a frame as fit, what the server has of
    /// each spreads by 6 %.
    Small,
    /// Edges, one after the other.
    Edges,
}

const SMALL: usize = 32;
const BULK: usize = 64 * 1024;
const MIB: usize = 1024 * 1024;

const BOTH: &[Whose] = &[Whose::Server, Whose::Edge];
const SERVER: &[Whose] = &[Whose::Server];

pub(super) const WORKS: [Work; 6] = [
    Work {
        name: "call, one at a time",
        load: Load::Calls(1, 1, SMALL),
        times: 1_000,
        counts: BOTH,
    },
    Work {
        name: "call, 8 in flight on each of 8 connections",
        load: Load::Calls(8, 8, SMALL),
        times: 6_400,
        counts: SERVER,
    },
    Work {
        name: "call with 64 KiB each way, one at a time",
        load: Load::Calls(1, 1, BULK),
        times: 400,
        counts: BOTH,
    },
    Work {
        name: "MiB to the caller, in messages of 64 KiB",
        load: Load::Down,
        times: 256,
        counts: BOTH,
    },
    Work {
        name: "1,000 messages of 100 B, each in a frame of its own",
        load: Load::Small,
        times: 60,
        counts: SERVER,
    },
    Work {
        name: "edge that comes and goes",
        load: Load::Edges,
        times: 100,
        counts: SERVER,
    },
];

/// A load, and the connections over which it goes.
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    load: Load,
    connections: Vec<Connection>,
    mux: &'a Mux,
}

impl<'a> Prepared<'a> {
    pub(super) async fn of(work: &Work, mux: &'a Mux) -> anyhow::Result<Self> {
        let connections = match work.load {
            Load::Calls(connections, ..) => connections,
            Load::Down | Load::Small => 1,
            Load::Edges => 0,
        };
        let target = Target {
            address: mux.proxy,
            client_id: EDGE.to_owned(),
        };
        Ok(Self {
            load: work.load,
            connections: Connection::many(&target, connections).await?,
            mux,
        })
    }

    pub(super) async fn run(&self, times: usize) -> anyhow::Result<()> {
        match self.load {
            Load::Calls(connections, in_flight, size) => {
                let each = Amount::Count(times / (connections * in_flight));
                let body = message(&vec![b'x'; size]);
                let calls = one_after_the_other(&self.connections, in_flight, &body, each).await;
                ensure!(calls.failures.count() == 0, "{}", calls.failures);
            }
            Load::Down => self.down(times * (MIB / BULK), BULK, false).await?,
            Load::Small => self.down(times * 1_000, 100, true).await?,
            Load::Edges => {
                // A name that it never had: nobody is remembered.
                for n in 0..times {
                    comes_and_goes(self.mux, &format!("edge-{n}-of-{times}")).await?;
                }
            }
        }
        Ok(())
    }

    async fn down(&self, count: usize, size: usize, apart: bool) -> anyhow::Result<()> {
        let what = Down {
            count: count.try_into()?,
            size: size.try_into()?,
            time: 0,
            apart,
        };
        let flow = down(&self.connections[0], what).await?;
        let messages = flow.total() as usize / (size + 5);
        ensure!(messages == count, "{messages} of {count} arrived");
        Ok(())
    }
}

/// One edge: its hello, its place in the registry, its goodbye.
async fn comes_and_goes(mux: &Mux, id: &str) -> anyhow::Result<()> {
    let (backend, _incoming) = NoBackend::in_process();
    let server: HostPort = mux.multiplexer.to_string().parse()?;
    let edge = Edge::new(id.parse()?, backend, server);
    let (stop, mut task) = (CancellationToken::new(), JoinSet::new());
    task.spawn(edge.run(stop.clone()));
    mux.says(&format!("edge connected client_id={id} ")).await;
    stop.cancel();
    task.join_next().await;
    mux.says(&format!("edge disconnected client_id={id} "))
        .await;
    Ok(())
}
