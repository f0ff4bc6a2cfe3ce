//! The wire of the original program: our server with such edges, our edge with such a server.
//!
//! The original's server is played by hand, frame by frame, so that it does what that one does and no library would:
//! it loses what comes together with the id, opens one stream and no other, and leaves `:authority` empty.

use grpc_multiplexer_tests::yamux::{ACK, DATA, HEADER, PING, SYN, WINDOW_UPDATE, data, header};
use grpc_multiplexer_tests::{Backend, Caller, Edge, Frame, Mux, Path, until, within};
use grpc_multiplexer_tunnel::BoxedIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const LEGACY: [&str; 2] = ["--tunnel-protocol", "legacy"];

/// A server of the original's.
pub(crate) struct Original {
    pub(crate) listener: TcpListener,
}

/// One edge's connection to it.
pub(crate) struct Dialled {
    socket: BoxedIo,
    /// What came on stream 1 and was not looked at.
    pub(crate) came: Vec<u8>,
}

impl Original {
    pub(crate) async fn start() -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        }
    }

    fn edge(&self, backend: &Backend, args: &[&str]) -> Edge {
        let address = self.listener.local_addr().unwrap();
        Edge::dialling(address, "rainbow", &backend.address.to_string(), args)
    }

    async fn accept(&self) -> Dialled {
        let (socket, _) = within("an edge", self.listener.accept()).await.unwrap();
        Dialled::over(socket)
    }

    /// An edge that says its line, and only its line.
    async fn accept_line(&self) -> Dialled {
        let mut dialled = self.accept().await;
        within("the line", async {
            while !dialled.came.contains(&b'\n') {
                assert!(dialled.frame().await, "the edge hung up");
            }
        })
        .await;
        assert_eq!(dialled.came, b"rainbow\n");
        // As the original does.
        dialled.came.clear();
        dialled
    }
}

impl Dialled {
    pub(crate) fn over(socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self {
            socket: Box::new(socket),
            came: Vec::new(),
        }
    }

    /// Reads one frame, and answers it if it is a ping. False at the end.
    pub(crate) async fn frame(&mut self) -> bool {
        let mut head = [0; HEADER];
        if self.socket.read_exact(&mut head).await.is_err() {
            return false;
        }
        let length = u32::from_be_bytes([head[8], head[9], head[10], head[11]]);
        match head[1] {
            DATA => {
                let mut bytes = vec![0; length as usize];
                self.socket.read_exact(&mut bytes).await.unwrap();
                self.came.extend(bytes);
            }
            PING if head[3] == SYN as u8 => self.say(&header(PING, ACK, 0, length)).await,
            _ => {}
        }
        true
    }

    async fn say(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
    }

    /// Opens the only stream, and makes a call of `/s/m` on it.
    pub(crate) async fn call(&mut self) {
        let headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/s/m"),
            (":authority", ""),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ];
        let http2 = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            Frame::settings(false).bytes(),
            Frame::headers(1, &headers, true).bytes(),
        ];
        let inner = [header(WINDOW_UPDATE, SYN, 1, 0), data(0, &http2.concat())];
        self.say(&data(0, &inner.concat())).await;
    }

    /// Reads on until the edge hangs up.
    pub(crate) async fn hung_up(&mut self) {
        within("the edge hangs up", async { while self.frame().await {} }).await;
    }
}

async fn fine() -> Backend {
    Backend::h2(|mut call| async move {
        call.read_all().await;
        call.ok(b"fine").await;
    })
    .await
}

#[tokio::test]
async fn the_originals_server_makes_a_call_and_the_backend_sees_its_own_authority() {
    let (original, backend) = (Original::start().await, fine().await);
    let _edge = original.edge(&backend, &LEGACY);
    let mut dialled = original.accept_line().await;
    dialled.call().await;
    within("a call", backend.calls(1)).await;
    let seen = backend.seen_call(0);
    assert_eq!(seen.origin, format!("http://{}", backend.address));
    assert_eq!(seen.path, "/s/m");
    // The answer comes back on the stream within the stream.
    until("the answer", async || {
        assert!(dialled.frame().await);
        dialled
            .came
            .windows(4)
            .any(|bytes| bytes == b"fine")
            .then_some(())
    })
    .await;
}

/// A server that is too busy to accept, or gave the edge's seat to another, says nothing at all.
#[tokio::test]
async fn a_server_that_says_nothing_is_not_taken_for_the_originals() {
    for hangs_up in [true, false] {
        let (original, backend) = (Original::start().await, fine().await);
        let edge = original.edge(&backend, &[]);
        let mut busy = original.accept().await;
        if !hangs_up {
            let mut rest = Vec::new();
            let read = busy.socket.read_to_end(&mut rest);
            within("the edge hangs up", read).await.unwrap();
        }
        drop(busy);
        edge.says("no answer to the hello").await;
        let mut again = original.accept().await;
        until("another hello", async || {
            assert!(again.frame().await);
            again.came.first().map(|first| assert_eq!(*first, 0))
        })
        .await;
    }
}

/// What a server of the original's does with a hello.
#[derive(Clone, Copy, PartialEq)]
enum ToHello {
    /// Waits for the end of a line.
    Waits,
    /// Found it, and speaks yamux within yamux.
    Speaks,
    /// Found it, and another edge has that name.
    HangsUp,
}

#[tokio::test]
async fn an_edge_left_to_itself_finds_out_what_the_server_speaks() {
    for to_hello in [ToHello::Waits, ToHello::Speaks, ToHello::HangsUp] {
        let (original, backend) = (Original::start().await, fine().await);
        let edge = original.edge(&backend, &[]);
        let mut hello = original.accept().await;
        until("a hello", async || {
            assert!(hello.frame().await);
            (!hello.came.is_empty()).then_some(())
        })
        .await;
        assert_eq!(hello.came[0], 0);
        match to_hello {
            ToHello::Waits => hello.hung_up().await,
            ToHello::Speaks => {
                hello.call().await;
                hello.hung_up().await;
            }
            ToHello::HangsUp => drop(hello),
        }
        let mut dialled = original.accept_line().await;
        dialled.call().await;
        within("a call", backend.calls(1)).await;
        edge.says("trying the original's wire").await;
        let connected = edge.says(" connected ").await;
        assert!(connected.contains("protocol=\"legacy\""), "{connected}");
        // The next tunnel, soon after, begins with the line.
        drop(dialled);
        original.accept_line().await;
    }
}

/// A server that answers a hello, if only with a no, is never taken for the original's.
#[tokio::test]
async fn a_server_that_refused_a_hello_gets_hellos_from_then_on() {
    let (server, backend) = (Original::start().await, fine().await);
    let _edge = server.edge(&backend, &[]);
    let mut refused = server.accept().await;
    until("a hello", async || {
        assert!(refused.frame().await);
        (!refused.came.is_empty()).then_some(())
    })
    .await;
    // Control{Refused{code: SHUTTING_DOWN}}
    refused.say(&data(0, &[0, 0, 0, 4, 0x2a, 2, 0x08, 9])).await;
    refused.hung_up().await;
    // Then it is slow.
    server.accept().await.hung_up().await;
    let mut again = server.accept().await;
    until("a hello", async || {
        assert!(again.frame().await);
        (!again.came.is_empty()).then_some(())
    })
    .await;
    assert_eq!(again.came[0], 0);
}

/// Such a server cannot make a second HTTP/2 connection.
#[tokio::test]
async fn a_tunnel_of_the_original_ends_with_its_only_stream_and_a_new_one_begins() {
    let (original, backend) = (Original::start().await, fine().await);
    let edge = original.edge(&backend, &LEGACY);
    let mut dialled = original.accept_line().await;
    dialled.call().await;
    within("a call", backend.calls(1)).await;
    let address = backend.address;
    backend.stop().await;
    dialled.hung_up().await;
    edge.says("tunnel lost").await;
    // Without a backend the tries go on, and slow down.
    original.accept_line().await.call().await;
    let again = TcpListener::bind(address).await.unwrap();
    until("the backend is dialled again", async || {
        let mut dialled = original.accept_line().await;
        dialled.call().await;
        tokio::select! {
            _ = again.accept() => Some(()),
            () = dialled.hung_up() => None,
        }
    })
    .await;
}

#[tokio::test]
async fn an_edge_of_the_originals_server_ends_when_its_streams_are_quiet() {
    let (original, backend) = (Original::start().await, fine().await);
    let patient = [&LEGACY[..], &["--drain-timeout", "10m"]].concat();
    let mut edge = original.edge(&backend, &patient);
    let mut dialled = original.accept_line().await;
    dialled.call().await;
    within("a call", backend.calls(1)).await;
    edge.signal("TERM");
    dialled.hung_up().await;
    assert!(edge.ended().await.success());
}

#[tokio::test]
async fn an_edge_of_the_original_is_called_listed_and_taken_once() {
    let backend = fine().await;
    let Path { mux, edge, caller } = Path::with(&[], &backend.address.to_string(), &LEGACY).await;
    let fine = async |caller: &Caller| {
        let answer = caller.call("/s/m", &[("client-id", "rainbow")], b"x").await;
        assert_eq!(answer.body, b"fine", "{answer:?}");
    };
    fine(&caller).await;
    assert_eq!(mux.listed().await, ["rainbow"]);
    let twin = Edge::dialling(
        mux.multiplexer,
        "rainbow",
        &backend.address.to_string(),
        &LEGACY,
    );
    twin.says("no tunnel").await;
    mux.says("another edge is connected as 'rainbow'").await;
    fine(&caller).await;
    drop(twin);
    drop(edge);
    until("the edge is gone", async || {
        mux.listed().await.is_empty().then_some(())
    })
    .await;
}

/// Whole, byte by byte, and with what follows it in one frame.
#[tokio::test]
async fn the_id_of_an_edge_may_come_in_any_pieces() {
    let mux = Mux::start().await;
    let line = b"rainbow\n";
    let bytewise = line.chunks(1).enumerate();
    let bytewise = bytewise.flat_map(|(n, byte)| data(if n == 0 { SYN } else { 0 }, byte));
    let glued = [&line[..], &header(PING, SYN, 0, 7)].concat();
    for said in [data(SYN, line), bytewise.collect(), data(SYN, &glued)] {
        let mut socket = TcpStream::connect(mux.multiplexer).await.unwrap();
        socket.write_all(&said).await.unwrap();
        until("the edge is listed", async || {
            (mux.listed().await == ["rainbow"]).then_some(())
        })
        .await;
        drop(socket);
        until("the edge is gone", async || {
            mux.listed().await.is_empty().then_some(())
        })
        .await;
    }
}
