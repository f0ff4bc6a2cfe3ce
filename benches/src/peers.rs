//! Programs of others that also bring a call to a backend.

mod proxies;
mod tunnels;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use grpc_multiplexer_tests::{Folder, Process, free, until};
use tokio::net::TcpStream;

use crate::cost::children;
use crate::programs::found;
use crate::results::Measure;

/// How a peer is started.
#[derive(Debug)]
struct Kind {
    name: &'static str,
    program: &'static str,
    /// Where it is to be had.
    from: &'static str,
    /// Its processes.
    start: fn(&Setup) -> Vec<Command>,
    /// Where the first of them listens before the next is started.
    control: fn(&Setup) -> SocketAddr,
}

/// What a peer is started with.
#[derive(Debug)]
struct Setup {
    program: PathBuf,
    folder: Folder,
    backend: SocketAddr,
    /// Where it is to listen.
    address: SocketAddr,
    /// For itself.
    inner: SocketAddr,
}

const KINDS: &[Kind] = &[
    proxies::NGINX,
    proxies::HAPROXY,
    tunnels::RATHOLE,
    tunnels::BORE,
];

/// One that runs.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    processes: Vec<Process>,
    _folder: Folder,
}

impl Peer {
    /// Starts those that are found, and names the others.
    pub(crate) async fn start_all(backend: SocketAddr) -> Vec<Self> {
        let mut peers = Vec::new();
        for kind in KINDS {
            match found(kind.program) {
                Some(program) => peers.push(Self::start(kind, program, backend).await),
                None => eprintln!(
                    "bench: without {}: no {}; {}",
                    kind.name, kind.program, kind.from
                ),
            }
        }
        peers
    }

    async fn start(kind: &Kind, program: PathBuf, backend: SocketAddr) -> Self {
        let [address, inner] = free();
        let folder = Folder::new("bench-peer");
        let setup = Setup {
            program,
            folder,
            backend,
            address,
            inner,
        };
        let control = (kind.control)(&setup);
        let mut processes = Vec::new();
        for command in (kind.start)(&setup) {
            processes.push(Process::of(command));
            listens(kind.name, control).await;
        }
        listens(kind.name, address).await;
        Self {
            name: kind.name,
            address,
            processes,
            _folder: setup.folder,
        }
    }

    pub(crate) fn parts(&self) -> Vec<(Measure, u32)> {
        let pids = self.processes.iter().map(Process::pid);
        pids.map(|pid| (Measure::PeerTime, pid)).collect()
    }
}

async fn listens(name: &str, address: SocketAddr) {
    until(&format!("{name} listens at {address}"), async || {
        TcpStream::connect(address).await.ok()
    })
    .await;
}

/// A peer with children is asked to end: they would outlive it if it were killed.
impl Drop for Peer {
    fn drop(&mut self) {
        for process in &self.processes {
            process.signal("TERM");
        }
        let gone = || {
            self.processes
                .iter()
                .all(|process| children(process.pid()).is_empty())
        };
        for _ in 0..100 {
            if gone() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}
