//! Ways from the load to the backend.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use grpc_multiplexer_tests::{Process, isolated};

use crate::load::Target;
use crate::options::Options;
use crate::peers::Peer;
use crate::product::{Edge, Mux};
use crate::programs;
use crate::results::Measure;

/// The id of the edge, wherever there is one.
pub(crate) const EDGE: &str = "edge";
/// Names of paths.
pub(crate) const DIRECT: &str = "direct";
pub(crate) const OURS: &str = "ours";
pub(crate) const OURS_TLS: &str = "ours-tls";

/// One way. What it is made of lives elsewhere.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    pub(crate) name: String,
    pub(crate) target: Target,
    /// Its processes, and as what their time is counted.
    pub(crate) parts: Vec<(Measure, u32)>,
}

/// The backend, in a process of its own.
#[derive(Debug)]
pub(crate) struct Backend {
    process: Process,
    pub(crate) address: SocketAddr,
}

impl Backend {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::at("127.0.0.1:0").await
    }

    /// One with windows of so many bytes.
    pub(crate) async fn narrow(window: u32) -> anyhow::Result<Self> {
        Self::with(&["127.0.0.1:0", &window.to_string()]).await
    }

    pub(crate) async fn at(address: &str) -> anyhow::Result<Self> {
        Self::with(&[address]).await
    }

    async fn with(args: &[&str]) -> anyhow::Result<Self> {
        let mut command = isolated(programs::own()?);
        command.arg("backend").args(args);
        Self::of(command).await
    }

    /// That on grpc-go.
    pub(crate) async fn of_go(program: PathBuf, address: &str) -> anyhow::Result<Self> {
        let mut command = isolated(program);
        command.arg(address);
        Self::of(command).await
    }

    async fn of(command: Command) -> anyhow::Result<Self> {
        let process = Process::of(command);
        let address = programs::listening(&process).await?;
        Ok(Self { process, address })
    }

    /// A path to it, at some address, with what stands between.
    pub(crate) fn path(&self, name: &str, address: SocketAddr, between: &[(Measure, u32)]) -> Path {
        let backend = (Measure::BackendTime, self.process.pid());
        Path {
            name: name.to_owned(),
            target: Target {
                address,
                client_id: EDGE.to_owned(),
            },
            parts: [between, &[backend]].concat(),
        }
    }
}

/// All paths to one backend on this machine, at once.
#[derive(Debug)]
pub(crate) struct World {
    backend: Backend,
    pub(crate) paths: Vec<Path>,
    _ours: Vec<(Mux, Edge)>,
    _peers: Vec<Peer>,
}

impl World {
    pub(crate) async fn start(backend: Backend, options: &Options) -> anyhow::Result<Self> {
        let mut paths = vec![backend.path(DIRECT, backend.address, &[])];
        let mut ours = Vec::new();
        for (name, mux) in [
            (OURS, Mux::plain(&[]).await?),
            (OURS_TLS, Mux::tls(&[]).await?),
        ] {
            let edge = mux.edge(EDGE, backend.address).await?;
            let parts = [
                (Measure::ServerTime, mux.pid()),
                (Measure::EdgeTime, edge.pid()),
            ];
            paths.push(backend.path(name, mux.proxy, &parts));
            ours.push((mux, edge));
        }
        let mut peers = Vec::new();
        for peer in Peer::start_all(backend.address).await {
            paths.push(backend.path(peer.name, peer.address, &peer.parts()));
            peers.push(peer);
        }
        for (name, address) in &options.peers {
            paths.push(backend.path(name, *address, &[]));
        }
        Ok(Self {
            backend,
            paths,
            _ours: ours,
            _peers: peers,
        })
    }

    /// Ends it: its backend's address is free then.
    pub(crate) async fn end(mut self) {
        self.backend.process.kill().await;
    }
}
