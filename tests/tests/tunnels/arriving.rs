//! Edges of which it is not decided yet whether they may come.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use grpc_multiplexer_tests::{Mux, hello, within};
use grpc_multiplexer_tunnel::{HandshakeError, TunnelConfig, dial, dial_legacy};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// As long as this a hook may take.
const TIMEOUT: &str = "--hooks-timeout=8s";
/// Half of it.
const SOON: Duration = Duration::from_secs(4);

/// A hook that answers nothing.
struct Hook(TcpListener);

impl Hook {
    async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    /// A server that asks it of edges.
    async fn server(&self, further: &[&str]) -> Mux {
        let url = format!("--hooks-url=http://{}", self.0.local_addr().unwrap());
        Mux::with(&[&[&*url, "--hooks-for=edges", TIMEOUT], further].concat()).await
    }

    /// The next question.
    async fn asked(&self) -> TcpStream {
        within("a question", self.0.accept()).await.unwrap().0
    }
}

/// What comes of an edge that introduces itself as `rainbow`.
type Arriving = Pin<Box<dyn Future<Output = Result<(), HandshakeError>>>>;

async fn says_hello(server: SocketAddr) -> Arriving {
    let socket = TcpStream::connect(server).await.unwrap();
    Box::pin(async {
        let config = TunnelConfig::default();
        let dialled = dial(Box::new(socket), hello("rainbow"), &config).await;
        dialled.map(drop)
    })
}

async fn says_its_line(server: SocketAddr) -> Arriving {
    let socket = TcpStream::connect(server).await.unwrap();
    Box::pin(async {
        let (id, config) = ("rainbow".parse().unwrap(), TunnelConfig::default());
        let dialled = dial_legacy(Box::new(socket), &id, &config).await;
        dialled.map(drop)
    })
}

/// Whoever came in its place would lose the id to it.
#[tokio::test]
async fn who_hangs_up_while_the_hook_is_asked_gets_no_id() {
    let hook = Hook::start().await;
    let mux = hook.server(&[]).await;
    let both = [
        says_hello(mux.multiplexer).await,
        says_its_line(mux.multiplexer).await,
    ];
    for (mut arriving, times) in both.into_iter().zip(1..) {
        let _question = tokio::select! {
            question = hook.asked() => question,
            came = &mut arriving => panic!("{came:?}, and nobody decided"),
        };
        let left = Instant::now();
        drop(arriving);
        mux.says_times("not an edge", times).await;
        assert!(left.elapsed() < SOON, "{:?}", left.elapsed());
    }
    mux.never_said("edge connected");
}
