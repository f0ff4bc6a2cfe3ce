//! An edge that has what the original's wire has no place for never speaks that wire, whatever the server does.

use std::sync::Arc;

use futures::future::join_all;
use grpc_multiplexer_tests::{Authority, Edge, Folder, KEYS, TOKENS, until, within};
use grpc_multiplexer_tunnel::KEY_SCHEME;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::legacy::{Dialled, Original};

const NOWHERE: &str = "127.0.0.1:1";
/// What the log says then.
const ADVICE: &str =
    "if it is of the original's, it takes no edge that has TLS, a token, a key or labels";

fn edge(original: &Original, options: &[&str]) -> Edge {
    let address = original.listener.local_addr().unwrap();
    Edge::dialling(address, "rainbow", NOWHERE, options)
}

/// An edge's connection, over what `secure` makes of it, and its hello, which has `shown` in it.
async fn hello<T>(
    original: &Original,
    secure: impl AsyncFn(TcpStream) -> T,
    shown: &[u8],
) -> Dialled
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (socket, _) = within("an edge", original.listener.accept()).await.unwrap();
    let mut dialled = Dialled::over(secure(socket).await);
    until("a hello", async || {
        assert!(dialled.frame().await, "the edge hung up");
        let came = &dialled.came;
        assert!(came.first().is_none_or(|first| *first == 0), "{came:?}");
        came.windows(shown.len())
            .any(|part| part == shown)
            .then_some(())
    })
    .await;
    dialled
}

/// Plays each way that the original has with a hello, and sees that another hello is all that follows.
async fn gets_hellos_and_nothing_else<T>(
    original: &Original,
    edge: &Edge,
    secure: impl AsyncFn(TcpStream) -> T,
    shown: &[u8],
) where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    // It found the end of a line in the hello, and speaks yamux within yamux.
    let mut speaks = hello(original, &secure, shown).await;
    let said = speaks.came.len();
    speaks.call().await;
    speaks.hung_up().await;
    assert_eq!(speaks.came.len(), said, "{:?}", speaks.came);
    // Or another edge has that name, and it hangs up.
    drop(hello(original, &secure, shown).await);
    hello(original, &secure, shown).await;
    edge.says_times(ADVICE, 2).await;
    edge.never_said("trying the original's wire");
}

#[tokio::test]
async fn an_edge_with_a_credential_or_labels_never_does() {
    let folder = Folder::new("downgrade");
    let [token, enrolment] = [0, 1].map(|n: usize| {
        let name = format!("token-{n}");
        folder.put_secret(&name, TOKENS[n][0])
    });
    let key = folder.put_secret("key", KEYS[0].private);
    let new = folder.0.join("new-key").display().to_string();
    let has: [(&[&str], &[u8]); 4] = [
        (&["--token-file", &token], TOKENS[0][0].as_bytes()),
        (&["--key-file", &key], KEY_SCHEME.as_bytes()),
        (
            &["--key-file", &new, "--enrolment-token-file", &enrolment],
            TOKENS[1][0].as_bytes(),
        ),
        (&["--label", "team=red"], b"team"),
    ];
    join_all(has.map(|(options, shown)| async move {
        let original = Original::start().await;
        let edge = edge(&original, options);
        gets_hellos_and_nothing_else(&original, &edge, async |socket| socket, shown).await;
    }))
    .await;
}

/// One in front of which something speaks TLS.
#[tokio::test]
async fn an_edge_over_tls_never_does() {
    let (folder, authority) = (Folder::new("downgrade-tls"), Authority::new("downgrade"));
    let ca = folder.put("ca.pem", authority.pem());
    let tls = authority
        .signs("127.0.0.1")
        .server(None, &["grpc-multiplexer/1"]);
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let original = Original::start().await;
    let edge = edge(&original, &["--multiplexer-tls-ca", &ca]);
    let secure = async |socket| within("TLS", acceptor.accept(socket)).await.unwrap();
    gets_hellos_and_nothing_else(&original, &edge, secure, b"rainbow").await;
}

/// It takes TLS for bytes of no sense, and hangs up.
#[tokio::test]
async fn an_edge_that_is_to_speak_tls_says_nothing_in_plain_text() {
    const CLIENT_HELLO: u8 = 0x16;
    let (folder, authority) = (Folder::new("downgrade-none"), Authority::new("downgrade"));
    let ca = folder.put("ca.pem", authority.pem());
    let token = folder.put_secret("token", TOKENS[0][0]);
    let original = Original::start().await;
    let edge = edge(
        &original,
        &["--multiplexer-tls-ca", &ca, "--token-file", &token],
    );
    for _ in 0..3 {
        let (mut socket, _) = within("an edge", original.listener.accept()).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut said = Vec::new();
        let read = socket.read_to_end(&mut said);
        within("the edge hangs up", read).await.unwrap();
        assert_eq!(said[0], CLIENT_HELLO);
    }
    edge.says("where it speaks no TLS, leave out --multiplexer-tls-ca here")
        .await;
    edge.never_said("trying the original's wire");
}
