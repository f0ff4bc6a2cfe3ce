//! Edges of which it is not decided yet whether they may come.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use grpc_multiplexer_tests::{Folder, Mux, TOKENS, auth, hello, metric, until, within};
use grpc_multiplexer_tunnel::message::{Auth, Hello};
use grpc_multiplexer_tunnel::{HandshakeError, TOKEN_SCHEME, TunnelConfig, dial, dial_legacy};
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

async fn says_hello(server: SocketAddr, auth: Option<Auth>) -> Arriving {
    let socket = TcpStream::connect(server).await.unwrap();
    Box::pin(async {
        let config = TunnelConfig::default();
        let hello = Hello {
            auth,
            ..hello("rainbow")
        };
        let dialled = dial(Box::new(socket), hello, &config).await;
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
        says_hello(mux.multiplexer, None).await,
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

/// Else strangers would fill the places of tunnels, where nobody loses its own to the next.
#[tokio::test]
async fn a_stranger_keeps_its_seat_while_the_hook_is_asked_and_whoever_is_known_needs_none() {
    let folder = Folder::new("arriving");
    let [token, digest] = TOKENS[0];
    let tokens = folder.put_secret("tokens", format!("{digest} rainbow\n"));
    let tokens = format!("--edges-tokens={tokens}");
    let token = auth(TOKEN_SCHEME, token);
    for (further, auth, put_out) in [(&[][..], None, true), (&[&*tokens], Some(token), false)] {
        let hook = Hook::start().await;
        let one_seat = [&["--max-handshakes=1"], further].concat();
        let mux = hook.server(&one_seat).await;
        let mut first = says_hello(mux.multiplexer, auth.clone()).await;
        let _question = tokio::select! {
            question = hook.asked() => question,
            came = &mut first => panic!("{came:?}, and nobody decided"),
        };
        let mut second = says_hello(mux.multiplexer, auth).await;
        let asked = async {
            tokio::select! {
                question = hook.asked() => question,
                came = &mut second => panic!("{came:?}, and nobody decided"),
            }
        };
        let _question = asked.await;
        if put_out {
            // The next has its seat, after the time that it has of its own.
            within("its end", first).await.unwrap_err();
        }
        let silent = r#"turned_away_total{listener="multiplexer",reason="silent"}"#;
        let counted =
            async || (metric(mux.admin, silent).await == f64::from(put_out)).then_some(());
        until("who lost its seat is counted, and nobody else", counted).await;
    }
}
