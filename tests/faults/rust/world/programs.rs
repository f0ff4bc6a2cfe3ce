//! How its processes are started, at first and again.

use std::mem;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use grpc_multiplexer_tests::{Folder, Mux, Process};

use super::{EDGES, Link, Setup, VICTIM, World};
use crate::clock::Clock;
use crate::names::NAME;
use crate::net::{OURS, Place};
use crate::suite;

/// Where the binaries under test are, when not beside this one.
pub(crate) static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();

impl World {
    pub(super) async fn start_edges(&mut self) -> anyhow::Result<()> {
        let proxy = self.mux.proxy.to_string();
        self.way = Arc::new(move |_| proxy.clone());
        for n in 0..EDGES {
            let edge = self.edge(n)?;
            self.edges.push(edge);
        }
        if self.setup.others > 0 {
            self.others = Some(self.start_others()?);
        }
        self.all_up().await
    }

    /// Starts the further edges.
    fn start_others(&self) -> anyhow::Result<Process> {
        let addresses = [loopback(&self.mux), self.backend.address];
        let mut command = Place::Here.command(std::env::current_exe()?);
        command.arg("edges");
        command.args(addresses.map(|address| address.to_string()));
        command.args([EDGES, self.all()].map(|number| number.to_string()));
        Ok(Process::of(command))
    }

    /// Starts edge `n`.
    pub(crate) fn edge(&self, n: usize) -> anyhow::Result<Process> {
        let victim = n == VICTIM;
        let place = if victim { &self.place } else { &Place::Here };
        let program = program("grpc-multiplexer-client")?;
        let mut command = match &self.names {
            Some(names) if victim => names.command(&program),
            _ => place.command(program),
        };
        command.args(["--client-id", &format!("edge-{n}")]);
        command.args(["--multiplexer-address", &self.server_of(n)]);
        command.args([
            "--grpc-server-address",
            &self.backend_of(n).address.to_string(),
        ]);
        if victim {
            command.args(in_folder(self.setup.victim, &self.folder));
            self.clock
                .iter()
                .for_each(|clock| clock.rules(&mut command));
        }
        Ok(Process::of(command))
    }

    /// Where edge `n` dials.
    fn server_of(&self, n: usize) -> String {
        let port = self.mux.multiplexer.port();
        match (self.setup.link, &self.relay) {
            (Link::Named, _) if n == VICTIM => format!("{NAME}:{port}"),
            (Link::Apart | Link::Both, _) if n == VICTIM => format!("{OURS}:{port}"),
            (_, Some(relay)) if n == self.relayed() => relay.address.to_string(),
            _ => loopback(&self.mux).to_string(),
        }
    }

    /// Starts edge `n` once more in place of the one before, which is given back.
    pub(crate) fn edge_again(&mut self, n: usize) -> anyhow::Result<&mut Process> {
        let new = self.edge(n)?;
        let old = mem::replace(&mut self.edges[n], new);
        self.gone.1.push(old);
        self.gone.1.last_mut().context("one was pushed")
    }

    /// Starts a server where the one before is or was, which is given back.
    pub(crate) async fn server_again(&mut self) -> anyhow::Result<&mut Process> {
        let server = Server {
            setup: self.setup,
            folder: &self.folder,
            clock: self.clock.as_ref(),
        };
        let proxy = self.mux.proxy.to_string();
        let multiplexer = self.mux.multiplexer.to_string();
        let new = server.start(&proxy, &multiplexer).await?;
        let old = mem::replace(&mut self.mux, new);
        self.gone.0.push(old);
        let old = self.gone.0.last_mut().context("one was pushed")?;
        Ok(old)
    }
}

/// How a case's server is started.
pub(super) struct Server<'a> {
    pub(super) setup: Setup,
    pub(super) folder: &'a Folder,
    pub(super) clock: Option<&'a Clock>,
}

impl Server<'_> {
    pub(super) async fn start(&self, proxy: &str, multiplexer: &str) -> anyhow::Result<Mux> {
        const NAME: &str = "grpc-multiplexer-server";
        let program = match self.setup.hook {
            Some(hook) => suite::hooked(hook).await?.join(NAME),
            None => program(NAME)?,
        };
        let mut command = Place::Here.command(program);
        command.args(["--proxy-listener", proxy]);
        command.args(["--multiplexer-listener", multiplexer]);
        command.args(["--admin-listener", "127.0.0.1:0"]);
        command.args(in_folder(self.setup.server, self.folder));
        self.clock
            .iter()
            .for_each(|clock| clock.rules(&mut command));
        Ok(Mux::of(Process::of(command)).await)
    }
}

fn in_folder(options: &[&str], folder: &Folder) -> Vec<String> {
    let folder = folder.0.display().to_string();
    let options = options.iter();
    options
        .map(|option| option.replace("FOLDER", &folder))
        .collect()
}

pub(super) fn loopback(mux: &Mux) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], mux.multiplexer.port()))
}

fn program(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = match PROGRAMS.get() {
        Some(folder) => folder.as_path(),
        None => own.parent().context("a folder")?,
    };
    Ok(Path::new(folder).join(name))
}
