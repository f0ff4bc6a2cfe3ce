//! The listening sockets, and who accepts from them when.
//!
//! A door can be closed and opened again, and while it is closed nobody is turned away: whoever comes waits in the
//! socket's backlog, for this process or for one that has a copy of the socket.

use std::io;
use std::sync::Arc;

use grpc_multiplexer_process::Sockets;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::edge::listener::Edges;
use crate::operator::{OPERATOR, Operators};
use crate::proxy::listener::Callers;

/// What the sockets for callers are called.
pub(crate) const PROXY: &str = "proxy";
/// And those for edges.
pub(crate) const MULTIPLEXER: &str = "multiplexer";

/// The doors of a running server.
#[derive(Debug)]
pub(crate) struct Doors {
    edges: Arc<Edges>,
    callers: Arc<Callers>,
    operators: Arc<Operators>,
    sockets: Sockets,
    for_edges: Vec<Arc<TcpListener>>,
    for_callers: Vec<Arc<TcpListener>>,
    for_operators: Vec<Arc<TcpListener>>,
    /// Accepts edges, until it is told to stop.
    taking_edges: (CancellationToken, JoinSet<()>),
    /// Accepts callers and operators, until they are told to go elsewhere.
    taking_callers: JoinSet<()>,
}

impl Doors {
    /// All closed.
    ///
    /// # Errors
    ///
    /// When the system refuses what it takes to open them.
    pub(crate) fn new(
        edges: &Arc<Edges>,
        callers: &Arc<Callers>,
        operators: Operators,
        sockets: Sockets,
    ) -> io::Result<Self> {
        let all =
            |name| io::Result::Ok(sockets.listeners(name)?.into_iter().map(Arc::new).collect());
        Ok(Self {
            for_edges: all(MULTIPLEXER)?,
            for_callers: all(PROXY)?,
            for_operators: all(OPERATOR)?,
            edges: Arc::clone(edges),
            callers: Arc::clone(callers),
            operators: Arc::new(operators),
            sockets,
            taking_edges: (CancellationToken::new(), JoinSet::new()),
            taking_callers: JoinSet::new(),
        })
    }

    /// What this process listens on.
    pub(crate) fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// Opens all.
    pub(crate) fn open(&mut self) {
        self.open_to_edges();
        self.open_to_callers();
    }

    /// Edges are taken from now on, if they were not before.
    pub(crate) fn open_to_edges(&mut self) {
        let (stop, tasks) = &mut self.taking_edges;
        if !tasks.is_empty() {
            return;
        }
        *stop = CancellationToken::new();
        for listener in &self.for_edges {
            let listen = Arc::clone(&self.edges).listen(Arc::clone(listener), stop.clone());
            tasks.spawn(listen);
        }
    }

    /// No edge is taken any more when this returns; those that had not finished their hello come again.
    pub(crate) async fn close_to_edges(&mut self) {
        let (stop, tasks) = &mut self.taking_edges;
        stop.cancel();
        while tasks.join_next().await.is_some() {}
    }

    /// Callers are taken from now on, and operators, until they are told to go elsewhere.
    pub(crate) fn open_to_callers(&mut self) {
        for listener in &self.for_callers {
            let listen = Arc::clone(&self.callers).listen(Arc::clone(listener));
            self.taking_callers.spawn(listen);
        }
        for listener in &self.for_operators {
            let listen = Arc::clone(&self.operators).listen(Arc::clone(listener));
            self.taking_callers.spawn(listen);
        }
    }

    /// Lets go of the sockets once nobody accepts from them. All kinds must have been told to stop.
    pub(crate) async fn close(mut self) {
        self.close_to_edges().await;
        while self.taking_callers.join_next().await.is_some() {}
    }
}
