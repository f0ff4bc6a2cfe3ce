//! A server that edges dial, and that does what the test says.

use std::net::SocketAddr;

use grpc_multiplexer_tunnel::message::{Code, Hello, Refused, Verdict, Welcome};
use grpc_multiplexer_tunnel::{
    Accepted, Arrival, BARE_ENDPOINT, Incoming, Session, SessionError, TunnelConfig, accept,
};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::within;

/// A listener for edges on a free port.
#[derive(Debug)]
pub struct ScriptedServer {
    /// Where edges dial.
    pub address: SocketAddr,
    listener: TcpListener,
}

impl ScriptedServer {
    /// Listens.
    ///
    /// # Panics
    ///
    /// When it cannot.
    pub async fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    /// The same on a socket that listens.
    ///
    /// # Panics
    ///
    /// When it has no address.
    #[must_use]
    pub fn on(listener: TcpListener) -> Self {
        Self {
            address: listener.local_addr().unwrap(),
            listener,
        }
    }

    /// Takes the next edge, and gives it `token`.
    ///
    /// # Panics
    ///
    /// When none comes.
    pub async fn take(&self, token: &[u8]) -> ScriptedTunnel {
        self.take_as(&self.address.to_string(), token).await
    }

    /// The same as a server process of that id.
    ///
    /// # Panics
    ///
    /// When none comes.
    pub async fn take_as(&self, server_id: &str, token: &[u8]) -> ScriptedTunnel {
        let accepted = self.hear().await;
        let hello = accepted.hello().clone();
        let welcome = Welcome {
            server_id: server_id.to_owned(),
            verdicts: vec![Verdict {
                endpoint_id: BARE_ENDPOINT,
                generation: 1,
                ..Verdict::default()
            }],
            resume_token: token.to_vec(),
            ..Welcome::default()
        };
        let tunnel = accepted.welcome(welcome).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(tunnel.task.run());
        ScriptedTunnel {
            hello,
            session: tunnel.session,
            _incoming: tunnel.incoming,
            _tasks: tasks,
        }
    }

    /// Refuses the next edge, and says what it said.
    ///
    /// # Panics
    ///
    /// When none comes.
    pub async fn refuse(&self, code: Code) -> Hello {
        let accepted = self.hear().await;
        let hello = accepted.hello().clone();
        let refused = Refused {
            code: code.into(),
            text: "as the test says".to_owned(),
            retry_after: None,
        };
        accepted.refuse(refused).await.unwrap();
        hello
    }

    async fn hear(&self) -> Accepted {
        let config = TunnelConfig::default();
        loop {
            let (socket, _) = within("an edge", self.listener.accept()).await.unwrap();
            // One that hangs up at once comes again.
            if let Ok(Arrival::Hello(accepted)) = accept(Box::new(socket), &config).await {
                return accepted;
            }
        }
    }
}

/// The server's end of a tunnel. Cut when dropped.
#[derive(Debug)]
pub struct ScriptedTunnel {
    /// How the edge introduced itself.
    pub hello: Hello,
    /// The tunnel.
    pub session: Session,
    _incoming: Incoming,
    _tasks: JoinSet<SessionError>,
}
