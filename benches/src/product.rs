//! Server and edge, with what they do by default.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::Context as _;
use grpc_multiplexer_tests as harness;
use grpc_multiplexer_tests::{Authority, Folder, Process, isolated};
use tokio::time::timeout;

use crate::programs::of_product;

/// Names of the programs.
pub(crate) const SERVER: &str = "grpc-multiplexer-server";
pub(crate) const EDGE: &str = "grpc-multiplexer-client";

/// A server.
#[derive(Debug)]
pub(crate) struct Mux {
    mux: harness::Mux,
    pub(crate) proxy: SocketAddr,
    pub(crate) multiplexer: SocketAddr,
    pub(crate) admin: SocketAddr,
    tls: Option<Tls>,
}

/// The authority that its edges trust, and where that is written.
#[derive(Debug)]
struct Tls {
    ca: String,
    _folder: Folder,
}

/// An edge.
#[derive(Debug)]
pub(crate) struct Edge(Process);

impl Mux {
    /// One with further options.
    pub(crate) async fn plain(options: &[&str]) -> anyhow::Result<Self> {
        Self::start(options, None).await
    }

    /// The same with TLS for edges.
    pub(crate) async fn tls(options: &[&str]) -> anyhow::Result<Self> {
        let (folder, authority) = (Folder::new("bench"), Authority::new("Bench"));
        let [certificate, key] = authority.signs("127.0.0.1").put(&folder, "server");
        let tls = [
            "--multiplexer-tls-certificate",
            &certificate,
            "--multiplexer-tls-key",
            &key,
        ];
        let ca = folder.put("ca.pem", authority.pem());
        let _folder = folder;
        Self::start(&[options, &tls].concat(), Some(Tls { ca, _folder })).await
    }

    async fn start(options: &[&str], tls: Option<Tls>) -> anyhow::Result<Self> {
        let command = isolated(of_product(SERVER)?);
        Ok(Self::of(command, options, tls).await)
    }

    /// One that `command` starts, which says all but its options.
    pub(crate) async fn by(command: Command, options: &[&str]) -> Self {
        Self::of(command, options, None).await
    }

    async fn of(mut command: Command, options: &[&str], tls: Option<Tls>) -> Self {
        for listener in ["proxy", "multiplexer", "admin"] {
            command.args([format!("--{listener}-listener"), "127.0.0.1:0".to_owned()]);
        }
        command.args(options);
        let mux = harness::Mux::of(Process::of(command)).await;
        Self {
            proxy: mux.proxy,
            multiplexer: mux.multiplexer,
            admin: mux.admin,
            mux,
            tls,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.mux.pid()
    }

    /// Waits until it says something.
    pub(crate) async fn says(&self, part: &str) {
        self.mux.says(part).await;
    }

    /// The authority's file, if edges need one.
    pub(crate) fn ca(&self) -> Option<&str> {
        self.tls.as_ref().map(|tls| tls.ca.as_str())
    }

    /// An edge of it, once that is connected.
    pub(crate) async fn edge(&self, id: &str, backend: SocketAddr) -> anyhow::Result<Edge> {
        self.edge_by(self.multiplexer, id, backend).await
    }

    /// The same by way of something that passes its tunnel on.
    pub(crate) async fn edge_by(
        &self,
        address: SocketAddr,
        id: &str,
        backend: SocketAddr,
    ) -> anyhow::Result<Edge> {
        let command = isolated(of_product(EDGE)?);
        self.edge_of(command, address, id, backend).await
    }

    /// The same that `command` starts, which says all but its options.
    pub(crate) async fn edge_of(
        &self,
        mut command: Command,
        address: SocketAddr,
        id: &str,
        backend: SocketAddr,
    ) -> anyhow::Result<Edge> {
        command.args(["--client-id", id]);
        command.args(["--multiplexer-address", &address.to_string()]);
        command.args(["--grpc-server-address", &backend.to_string()]);
        if let Some(ca) = self.ca() {
            command.args(["--multiplexer-tls-ca", ca]);
        }
        let process = Process::of(command);
        let connected = timeout(harness::DEADLINE, process.says(" connected ")).await;
        connected.context("an edge does not come")?;
        Ok(Edge(process))
    }
}

impl Edge {
    pub(crate) fn pid(&self) -> u32 {
        self.0.pid()
    }
}
