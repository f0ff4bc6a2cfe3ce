//! Server and edge, of which one is counted.

use std::process::Command;

use grpc_multiplexer_tests::isolated;

use super::callgrind::{Callgrind, Counter};
use super::stored::Counted;
use super::works::{Prepared, Work};
use crate::paths::{self, Backend};
use crate::product::{EDGE, Edge, Mux, SERVER};
use crate::programs::of_product;

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Server,
    Edge,
}

impl Whose {
    fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Edge => "edge",
        }
    }
}

/// Both of them. The one that is counted is fifty times slower than the other, and finds all there that others have for it: how
/// much it reads at once is no chance then. With both counted at a time counts of bulk spread by 22 %.
#[derive(Debug)]
pub(super) struct Bed<'a> {
    whose: Whose,
    mux: Mux,
    _edge: Edge,
    counter: Counter<'a>,
}

impl<'a> Bed<'a> {
    pub(super) async fn start(
        callgrind: &'a Callgrind,
        backend: &Backend,
        whose: Whose,
    ) -> anyhow::Result<Self> {
        let program = |this, name| -> anyhow::Result<Command> {
            if this == whose {
                callgrind.command(name)
            } else {
                Ok(isolated(of_product(name)?))
            }
        };
        // How connections are spread over several threads would be chance.
        let mux = Mux::by(program(Whose::Server, SERVER)?, &["--threads", "1"]).await;
        let edge = program(Whose::Edge, EDGE)?;
        let edge = mux.edge_of(edge, mux.multiplexer, paths::EDGE, backend.address);
        let edge = edge.await?;
        let pid = match whose {
            Whose::Server => mux.pid(),
            Whose::Edge => edge.pid(),
        };
        Ok(Self {
            whose,
            mux,
            _edge: edge,
            counter: callgrind.counter(pid),
        })
    }

    pub(super) async fn count(&mut self, work: &Work) -> anyhow::Result<Counted> {
        let name = format!("{}: {}", self.whose.name(), work.name);
        eprintln!("bench: {name}");
        let load = Prepared::of(work, &self.mux).await?;
        // What is only done at first is over by then.
        load.run(work.times / 4).await?;
        self.counter.start().await?;
        load.run(work.times).await?;
        let all = self.counter.stop().await?;
        let instructions = all / work.times as u64;
        Ok(Counted { name, instructions })
    }
}
