//! The listening sockets, and who accepts from them when.
//!
//! A door can be closed and opened again, and while it is closed nobody is turned away: whoever comes waits in the
//! socket's backlog, for this process or for one that has a copy of the socket.

use std::io;
use std::sync::Arc;

use grpc_multiplexer_process::Sockets;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::edge::listener::Edges;
use crate::proxy::listener::Callers;

/// What the sockets for callers are called.
pub(crate) const PROXY: &str = "proxy";
/// And those for edges.
pub(crate) const MULTIPLEXER: &str = "multiplexer";

/// Both doors of a running server.
#[derive(Debug)]
pub(crate) struct Doors {
    edges: Arc<Edges>,
    callers: Arc<Callers>,
    sockets: Sockets,
    /// Accepts edges, until it is told to stop.
    taking_edges: (CancellationToken, JoinSet<()>),
    /// Accepts callers, until callers are told to go elsewhere.
    taking_callers: JoinSet<()>,
}

impl Doors {
    /// Both closed.
    pub(crate) fn new(edges: &Arc<Edges>, callers: &Arc<Callers>, sockets: Sockets) -> Self {
        Self {
            edges: Arc::clone(edges),
            callers: Arc::clone(callers),
            sockets,
            taking_edges: (CancellationToken::new(), JoinSet::new()),
            taking_callers: JoinSet::new(),
        }
    }

    /// What this process listens on.
    pub(crate) fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// Opens both.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub(crate) fn open(&mut self) -> io::Result<()> {
        self.open_to_edges()?;
        self.open_to_callers()
    }

    /// Edges are taken from now on, if they were not before.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub(crate) fn open_to_edges(&mut self) -> io::Result<()> {
        if !self.taking_edges.1.is_empty() {
            return Ok(());
        }
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        for listener in self.sockets.listeners(MULTIPLEXER)? {
            tasks.spawn(Arc::clone(&self.edges).listen(listener, stop.clone()));
        }
        self.taking_edges = (stop, tasks);
        Ok(())
    }

    /// No edge is taken any more when this returns; those that had not finished their hello come again.
    pub(crate) async fn close_to_edges(&mut self) {
        let (stop, tasks) = &mut self.taking_edges;
        stop.cancel();
        while tasks.join_next().await.is_some() {}
    }

    /// Callers are taken from now on, until they are told to go elsewhere.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub(crate) fn open_to_callers(&mut self) -> io::Result<()> {
        for listener in self.sockets.listeners(PROXY)? {
            let listen = Arc::clone(&self.callers).listen(listener);
            self.taking_callers.spawn(listen);
        }
        Ok(())
    }

    /// Lets go of the sockets once nobody accepts from them. Both kinds must have been told to stop.
    pub(crate) async fn close(mut self) {
        self.close_to_edges().await;
        while self.taking_callers.join_next().await.is_some() {}
    }
}
