//! A whole path: a server, one edge, one caller.

use crate::{Backend, Call, Caller, Edge, Mux};

/// A server, an edge `rainbow` in front of a backend, and a caller.
#[derive(Debug)]
pub struct Path {
    /// The server.
    pub mux: Mux,
    /// The edge.
    pub edge: Edge,
    /// The caller.
    pub caller: Caller,
}

impl Path {
    /// The path to `backend`.
    pub async fn to(backend: &Backend) -> Self {
        Self::with(&[], &backend.address.to_string(), &[]).await
    }

    /// The same, with options of the server, any address, and options of the edge.
    pub async fn with(server: &[&str], backend: &str, edge: &[&str]) -> Self {
        let mux = Mux::with(server).await;
        let edge = Edge::dialling(mux.multiplexer, "rainbow", backend, edge);
        edge.says(" connected ").await;
        let caller = Caller::connect(mux.proxy).await;
        Self { mux, edge, caller }
    }

    /// Starts a call whose request is only headers so far.
    pub async fn start(&self, metadata: &[(&str, &str)]) -> Call {
        self.send(metadata, false).await
    }

    /// Makes a call whose whole request is its headers.
    pub async fn ask(&self, metadata: &[(&str, &str)]) -> Call {
        self.send(metadata, true).await
    }

    async fn send(&self, metadata: &[(&str, &str)], end: bool) -> Call {
        let metadata = [&[("client-id", "rainbow")], metadata].concat();
        let request = Caller::request("/s/m", &metadata);
        self.caller.send(request, end).await
    }
}
