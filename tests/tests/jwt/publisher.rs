//! A server of keys, as an identity provider has one.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use grpc_multiplexer_tests::until;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// What it answers.
#[derive(Clone)]
pub(crate) enum Says {
    /// Nothing at all.
    Nothing,
    /// These bytes.
    Bytes(Vec<u8>),
}

impl Says {
    pub(crate) fn keys(text: &str) -> Self {
        Self::answer("200 OK", text)
    }

    pub(crate) fn answer(status: &str, body: &str) -> Self {
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n");
        Self::Bytes((head + body).into_bytes())
    }
}

/// One that runs until it is dropped.
pub(crate) struct Publisher {
    pub(crate) address: SocketAddr,
    says: Arc<Mutex<Says>>,
    asked: Arc<AtomicUsize>,
    _work: JoinSet<()>,
}

impl Publisher {
    pub(crate) async fn start(says: Says) -> Self {
        Self::on("127.0.0.1:0", None, says).await
    }

    pub(crate) async fn on(address: &str, tls: Option<TlsAcceptor>, says: Says) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (says, asked) = (Arc::new(Mutex::new(says)), Arc::default());
        let mut work = JoinSet::new();
        work.spawn(serve(listener, tls, Arc::clone(&says), Arc::clone(&asked)));
        Self {
            address,
            says,
            asked,
            _work: work,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/jwks.json?of=test", self.address)
    }

    /// From now on it answers something else.
    pub(crate) fn says(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    /// Waits until it was asked so often.
    pub(crate) async fn asked(&self, times: usize) {
        let asked = async || (self.asked.load(Ordering::Relaxed) >= times).then_some(());
        until("keys are asked for", asked).await;
    }
}

async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    says: Arc<Mutex<Says>>,
    asked: Arc<AtomicUsize>,
) {
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        asked.fetch_add(1, Ordering::Relaxed);
        let (tls, says) = (tls.clone(), says.lock().unwrap().clone());
        connections.spawn(async {
            match tls {
                None => answer(socket, says).await,
                Some(tls) => match tls.accept(socket).await {
                    Ok(stream) => answer(stream, says).await,
                    Err(_) => None,
                },
            };
        });
    }
}

/// One request, read to its end.
async fn answer(mut io: impl AsyncRead + AsyncWrite + Unpin, says: Says) -> Option<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(io.read_u8().await.ok()?);
    }
    assert!(request.starts_with(b"GET /jwks.json?of=test HTTP/1.1\r\n"));
    match says {
        Says::Nothing => std::future::pending().await,
        Says::Bytes(bytes) => {
            io.write_all(&bytes).await.ok()?;
            io.shutdown().await.ok()
        }
    }
}
