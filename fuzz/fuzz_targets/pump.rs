//! A caller and a backend that say anything in HTTP/2, with a whole server and a whole edge between them.
//!
//! Whatever they say, neither is shown an end that the other did not say, nor more bytes than it sent, nor our marks
//! in a name that is not ours; and another caller is served.

#![no_main]

use std::net::SocketAddr;
use std::time::Duration;

use arbitrary::Arbitrary;
use bytes::Bytes;
use futures::StreamExt as _;
use grpc_multiplexer_client::{Backend, Edge};
use grpc_multiplexer_fuzz::blocks::{self, Item};
use grpc_multiplexer_fuzz::frames::{self, CLIENT_ID, PREFACE, Piece, Read, kind};
use grpc_multiplexer_fuzz::run;
use grpc_multiplexer_server::Server;
use h2::client::{SendRequest, handshake};
use http::Request;
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Nothing more comes when nothing came for this long: the clock moves only when there is nothing else to do.
const QUIET: Duration = Duration::from_millis(500);
/// The caller hears what becomes of its calls when the backend has left.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long one wait of a script is.
const TICK: Duration = Duration::from_millis(100);
/// Everything ends within this, beside what both scripts take.
const END: Duration = Duration::from_secs(120);

#[derive(Debug, Arbitrary)]
struct Script<'a> {
    caller: Vec<Step<'a>>,
    /// Said on every lane.
    backend: Vec<Step<'a>>,
}

#[derive(Debug, Arbitrary)]
enum Step<'a> {
    Say(Piece<'a>),
    Hear,
    Wait(u8),
}

impl Step<'_> {
    /// How long it may take.
    fn limit(&self) -> Duration {
        match self {
            Self::Say(_) | Self::Hear => QUIET,
            Self::Wait(ticks) => TICK * u32::from(*ticks),
        }
    }
}

/// What one end of a connection said and heard, without prefaces.
#[derive(Debug, Default)]
struct Said {
    said: Vec<u8>,
    heard: Vec<u8>,
}

fuzz_target!(|script: Script| run(async {
    let callers = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let edges = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let proxy = callers.local_addr().expect("it is bound");
    let multiplexer = edges.local_addr().expect("it is bound");
    let (backend, lanes) = Backend::in_process();
    let id = CLIENT_ID.parse().expect("an id");
    let stop = CancellationToken::new();
    let server = Server::new(callers, edges).run(stop.clone());
    let edge = Edge::new(id, backend, multiplexer.into()).run(stop.clone());
    let call = async {
        // Once the clock moves, the edge is there.
        sleep(TICK).await;
        let innocent = Innocent::connect(proxy).await;
        let begin = [PREFACE, &SETTINGS[..]].concat();
        let caller = play(connect(proxy).await, &begin, &script.caller, PATIENCE).await;
        innocent.is_served().await;
        stop.cancel();
        caller
    };
    let lanes = lanes.map(async |Ok(lane)| {
        // Or a backend that hangs up at once would be dialled for ever before the clock moves.
        sleep(TICK).await;
        play(lane, &SETTINGS, &script.backend, QUIET).await
    });
    let lanes = lanes.buffer_unordered(64).collect::<Vec<_>>();
    let steps = script.caller.iter().chain(&script.backend);
    let limit = steps.map(Step::limit).sum::<Duration>() + END;
    let all = async { tokio::join!(call, lanes, server, edge) };
    let (caller, lanes, ended, _) = timeout(limit, all).await.expect("it does not end");
    ended.expect("it ends well");
    compare(&caller, &lanes);
}));

/// Says `begin` and then what the script has, and hears until nothing comes for as long as its patience lasts.
async fn play<T>(mut io: T, begin: &[u8], steps: &[Step<'_>], patience: Duration) -> Said
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut script = Said::default();
    let Said { said, heard } = &mut script;
    let mut goes_on = say(&mut io, begin).await;
    for step in steps {
        goes_on = goes_on
            && match step {
                Step::Say(piece) => {
                    let before = said.len();
                    piece.write(said);
                    say(&mut io, &said[before..]).await
                }
                Step::Hear => {
                    hear(&mut io, heard, QUIET).await;
                    true
                }
                Step::Wait(ticks) => {
                    sleep(TICK * u32::from(*ticks)).await;
                    true
                }
            };
    }
    while hear(&mut io, heard, patience).await {}
    script
}

/// Whether the peer took it.
async fn say(io: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> bool {
    let say = async {
        io.write_all(bytes).await?;
        io.flush().await
    };
    matches!(timeout(QUIET, say).await, Ok(Ok(())))
}

/// Whether something came.
async fn hear(io: &mut (impl AsyncRead + Unpin), heard: &mut Vec<u8>, limit: Duration) -> bool {
    matches!(timeout(limit, io.read_buf(heard)).await, Ok(Ok(1..)))
}

async fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).await.expect("it listens");
    socket.set_nodelay(true).expect("a socket");
    // What closes first would keep its port for a minute.
    socket.set_zero_linger().expect("a socket");
    socket
}

/// A caller beside the other.
struct Innocent {
    sender: SendRequest<Bytes>,
    _connection: JoinSet<Result<(), h2::Error>>,
}

impl Innocent {
    async fn connect(proxy: SocketAddr) -> Self {
        let (sender, connection) = handshake(connect(proxy).await).await.expect("HTTP/2");
        let mut tasks = JoinSet::new();
        tasks.spawn(connection);
        Self {
            sender,
            _connection: tasks,
        }
    }

    /// Asks the server for its health, on the connection that was there all the time.
    async fn is_served(self) {
        let request = Request::post("http://h/grpc.health.v1.Health/Check")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .expect("a request");
        let mut sender = self.sender.ready().await.expect("a connection");
        let (answer, mut message) = sender.send_request(request, false).expect("a stream");
        let sent = message.send_data(Bytes::from_static(&[0; 5]), true);
        sent.expect("a stream");
        let mut answer = answer.await.expect("an answer").into_body();
        while let Some(bytes) = answer.data().await {
            let bytes = bytes.expect("an answer");
            answer
                .flow_control()
                .release_capacity(bytes.len())
                .expect("it came");
        }
        let trailers = answer
            .trailers()
            .await
            .expect("an answer")
            .expect("trailers");
        assert_eq!(trailers["grpc-status"], "0");
    }
}

fn compare(caller: &Said, lanes: &[Said]) {
    for lane in lanes {
        let heard = lane.heard.strip_prefix(PREFACE).unwrap_or_default();
        // A call that is tried again on the same lane is another stream.
        let most = (1..64).map(|id| bytes_on(id, heard)).max();
        assert!(most <= Some(bytes_in(&caller.said)), "bytes from nowhere");
        let ended = frames::read(heard).any(|frame| is_end(&frame));
        assert!(
            !ended || has_end(&caller.said),
            "an upload that did not end"
        );
        for (name, _) in blocks::read(heard).iter().flat_map(fields) {
            assert_ne!(name, OURS, "a caller in our name");
        }
    }
    let said = || lanes.iter().map(|lane| &lane.said[..]);
    // Our own services answer for themselves.
    if caller.said.windows(6).any(|bytes| bytes == b"/grpc.") {
        return;
    }
    let sent: usize = said().map(bytes_in).sum();
    assert!(bytes_in(&caller.heard) <= sent, "bytes from nowhere");
    let backend_ended = said().any(has_end);
    for item in blocks::read(&caller.heard) {
        let ended = match &item {
            Item::Frame(frame) => is_end(frame),
            Item::Block { ends, .. } => *ends,
        };
        let ours = fields(&item).iter().find(|(name, _)| name == OURS);
        assert!(
            !ended || ours.is_some() || backend_ended,
            "an answer that did not end: {item:?}"
        );
        if let Some((_, reason)) = ours {
            let is_reason = |byte: &u8| byte.is_ascii_lowercase() || *byte == b'-';
            assert!(
                !reason.is_empty() && reason.iter().all(is_reason),
                "a backend in our name"
            );
        }
    }
}

/// The mark of what is our word.
const OURS: &[u8] = b"x-mux-error";

fn fields<'i>(item: &'i Item<'_>) -> &'i [(Vec<u8>, Vec<u8>)] {
    match item {
        Item::Frame(_) => &[],
        Item::Block { fields, .. } => fields,
    }
}

fn bytes_in(said: &[u8]) -> usize {
    data_in(said).map(|frame| frame.payload().len()).sum()
}

fn bytes_on(stream: u32, said: &[u8]) -> usize {
    let data = data_in(said).filter(|frame| frame.stream == stream);
    data.map(|frame| frame.payload().len()).sum()
}

fn data_in(said: &[u8]) -> impl Iterator<Item = Read<'_>> {
    frames::read(said).filter(|frame| frame.kind == kind::DATA)
}

fn has_end(said: &[u8]) -> bool {
    frames::read(said).any(|frame| is_end(&frame))
}

fn is_end(frame: &Read<'_>) -> bool {
    matches!(frame.kind, kind::DATA | kind::HEADERS) && frame.ends()
}

/// Empty SETTINGS.
const SETTINGS: [u8; 9] = [0, 0, 0, kind::SETTINGS, 0, 0, 0, 0, 0];
