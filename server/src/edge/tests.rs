//! Lanes over a real tunnel in memory, with an edge and a backend in the test, and paused time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use grpc_multiplexer_tunnel::message::{Code, Hello, Welcome};
use grpc_multiplexer_tunnel::{
    Arrival, BoxedIo, Established, Session, TunnelConfig, TunnelStream, accept, dial, dial_legacy,
};
use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, advance};

use super::lane::{DialFailure, LaneStream};
use super::lanes::{Lanes, NoLane, Slot, Terms};
use super::places::CallerId;
use crate::limits::Limits;
use crate::metrics::Cancels;

const PATH: &str = "/s/m";
const CALLER: CallerId = CallerId(1);

/// A tunnel whose edge answers every stream as `backend` says.
struct Bench {
    lanes: Arc<Lanes>,
    /// The server's end.
    session: Session,
    /// Streams that the server opened.
    opened: Arc<AtomicUsize>,
    /// Types of frames that a backend saw that notes them.
    noted: Noted,
    _tasks: JoinSet<()>,
}

type Noted = Arc<Mutex<Vec<u8>>>;

#[derive(Clone, Copy)]
enum Backend {
    /// Speaks HTTP/2, with that many calls at a time.
    H2(u32),
    Refuses,
    /// Takes the connection and says nothing.
    Silent,
    /// Says SETTINGS, and notes the types of the frames that come.
    Notes,
}

impl Bench {
    async fn new(backend: Backend) -> Self {
        let config = TunnelConfig::default();
        let hello = async |io| dial(io, Hello::default(), &config).await.unwrap().0;
        Self::with(backend, hello).await
    }

    /// One whose edge speaks the original's wire.
    async fn legacy(backend: Backend) -> Self {
        let (config, id) = (TunnelConfig::default(), "rainbow".parse().unwrap());
        let line = async |io| dial_legacy(io, &id, &config).await.unwrap();
        Self::with(backend, line).await
    }

    async fn with(backend: Backend, dial: impl AsyncFnOnce(BoxedIo) -> Established) -> Self {
        let (near, far) = tokio::io::duplex(1 << 20);
        let config = TunnelConfig::default();
        let mut tasks = JoinSet::new();
        let server = async {
            let established = match accept(Box::new(near), &config).await.unwrap() {
                Arrival::Hello(edge) => edge.welcome(Welcome::default()).await.unwrap(),
                Arrival::Legacy(edge) => edge.take(&config),
            };
            let Established { session, task, .. } = established;
            // What the edge waits for leaves when this runs.
            tasks.spawn(async move {
                task.run().await;
            });
            session
        };
        let (session, edge) = tokio::join!(server, dial(Box::new(far)));
        let opened = Arc::new(AtomicUsize::new(0));
        let noted = Noted::default();
        tasks.spawn(serve(
            edge,
            backend,
            Arc::clone(&opened),
            Arc::clone(&noted),
        ));
        Self {
            lanes: Lanes::new(
                session.clone(),
                1,
                &Terms {
                    limits: Limits::default().per_edge(),
                    dial_timeout: Duration::from_secs(5),
                    cancels: Cancels::default(),
                    floods: Arc::default(),
                },
                Handle::current(),
            ),
            session,
            opened,
            noted,
            _tasks: tasks,
        }
    }

    fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }

    async fn slot(&self, path: &str) -> Slot {
        self.lanes.acquire(path, CALLER).await.unwrap()
    }

    fn call(&self, slot: Slot) -> LaneStream {
        let request = Request::post("http://backend/s/m").body(()).unwrap();
        LaneStream::start(slot, request, false).unwrap()
    }
}

async fn serve(edge: Established, backend: Backend, opened: Arc<AtomicUsize>, noted: Noted) {
    let Established {
        mut incoming, task, ..
    } = edge;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        task.run().await;
    });
    while let Some(stream) = incoming.next().await {
        opened.fetch_add(1, Ordering::Relaxed);
        let pending = stream.read_open(Duration::from_secs(1)).await.unwrap();
        match backend {
            Backend::Refuses => pending.refuse(Code::BackendRefused, "refused").await,
            Backend::Silent => {
                let stream = pending.accept().await.unwrap();
                tasks.spawn(async move {
                    let _open = stream;
                    std::future::pending().await
                });
            }
            Backend::Notes => {
                let stream = pending.accept().await.unwrap();
                tasks.spawn(note(stream, Arc::clone(&noted)));
            }
            Backend::H2(calls) => {
                let stream = pending.accept().await.unwrap();
                tasks.spawn(async move {
                    let mut connection = h2::server::Builder::new()
                        .max_concurrent_streams(calls)
                        .handshake::<_, bytes::Bytes>(stream)
                        .await
                        .unwrap();
                    let mut calls = Vec::new();
                    while let Some(Ok(call)) = connection.accept().await {
                        calls.push(call);
                    }
                });
            }
        }
    }
}

async fn note(mut stream: TunnelStream, noted: Noted) {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    stream.write_all(&SETTINGS).await.unwrap();
    stream.read_exact(&mut [0; 24]).await.unwrap();
    let mut head = [0; 9];
    while stream.read_exact(&mut head).await.is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        stream
            .read_exact(&mut vec![0; length as usize])
            .await
            .unwrap();
        noted.lock().unwrap().push(head[3]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_dial_is_answered_from_memory_for_a_while() {
    let bench = Bench::new(Backend::Refuses).await;
    let refused = NoLane::Dial(DialFailure::Refused);
    assert_eq!(
        bench.lanes.acquire(PATH, CALLER).await.unwrap_err(),
        refused
    );
    for _ in 0..100 {
        assert_eq!(
            bench.lanes.acquire(PATH, CALLER).await.unwrap_err(),
            refused
        );
    }
    assert_eq!(bench.opened(), 1);
    // 100 ms the first time, 200 ms the second.
    advance(Duration::from_millis(101)).await;
    assert_eq!(
        bench.lanes.acquire(PATH, CALLER).await.unwrap_err(),
        refused
    );
    assert_eq!(bench.opened(), 2);
    advance(Duration::from_millis(101)).await;
    assert_eq!(
        bench.lanes.acquire(PATH, CALLER).await.unwrap_err(),
        refused
    );
    assert_eq!(bench.opened(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_says_nothing_is_given_up() {
    let bench = Bench::new(Backend::Silent).await;
    let start = Instant::now();
    let failure = bench.lanes.acquire(PATH, CALLER).await.unwrap_err();
    assert_eq!(failure, NoLane::Dial(DialFailure::Timeout));
    assert!(
        start.elapsed() < Duration::from_secs(11),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn many_calls_at_once_open_one_lane() {
    let bench = Bench::new(Backend::H2(1000)).await;
    assert_eq!(bench.opened(), 0, "nothing is opened before it is needed");
    let slots = futures::future::join_all((0..100).map(|_| bench.slot(PATH))).await;
    assert_eq!(bench.opened(), 1);
    assert_eq!(bench.lanes.calls(), slots.len());
    drop(slots);
    assert_eq!(bench.lanes.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lane_without_calls_is_closed_and_its_stream_given_back() {
    let bench = Bench::new(Backend::H2(1000)).await;
    drop(bench.slot(PATH).await);
    assert_eq!(bench.session.open_streams(), 1);
    let start = Instant::now();
    while bench.session.open_streams() > 0 {
        assert!(start.elapsed() < Duration::from_secs(60));
        advance(Duration::from_secs(1)).await;
    }
    assert!(start.elapsed() >= Duration::from_secs(29));
    drop(bench.slot(PATH).await);
    assert_eq!(bench.opened(), 2);
}

/// Its edge may take the end of the only stream for the end of the tunnel's use.
#[tokio::test(start_paused = true)]
async fn a_lane_of_the_originals_wire_is_kept_without_calls() {
    let bench = Bench::legacy(Backend::H2(1000)).await;
    drop(bench.slot(PATH).await);
    // Not so long that the silence of a paused yamux would end the tunnel.
    for _ in 0..40 {
        advance(Duration::from_secs(1)).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(bench.session.open_streams(), 1);
    drop(bench.slot(PATH).await);
    assert_eq!(bench.opened(), 1);
    // When the tunnel is to end, so do they.
    bench.lanes.close().await;
    assert_eq!(bench.session.open_streams(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_keeps_its_lane_open() {
    let bench = Bench::new(Backend::H2(1000)).await;
    let _call = bench.call(bench.slot(PATH).await);
    for _ in 0..120 {
        advance(Duration::from_secs(1)).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(bench.session.open_streams(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_held_call_keeps_its_place() {
    // It acknowledges nothing, and so proves nothing.
    let bench = Bench::new(Backend::Notes).await;
    let mut calls = Vec::new();
    for _ in 0..100 {
        calls.push(bench.call(bench.slot(PATH).await));
    }
    drop(calls);
    assert_eq!(bench.lanes.calls(), 84);
    advance(Duration::from_secs(60)).await;
    assert_eq!(bench.lanes.calls(), 84);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_is_slow_to_take_calls_gets_no_more_of_them_on_another_lane() {
    let bench = Bench::new(Backend::Notes).await;
    let mut calls = Vec::new();
    for _ in 0..100 {
        calls.push(bench.call(bench.slot(PATH).await));
    }
    drop(calls);
    let beside = bench.slot(PATH).await;
    assert_eq!(bench.opened(), 2, "it may be quick");
    for _ in 0..100 {
        advance(Duration::from_millis(3)).await;
        tokio::task::yield_now().await;
    }
    // On none, then, not even on one with room.
    let start = Instant::now();
    assert_eq!(
        bench.lanes.acquire(PATH, CALLER).await.unwrap_err(),
        NoLane::Busy
    );
    assert!(start.elapsed() > Duration::from_secs(10));
    assert_eq!(bench.opened(), 2);
    drop(beside);
}

#[tokio::test(start_paused = true)]
async fn a_lane_with_nothing_but_held_calls_ends_when_it_takes_no_more() {
    let bench = Bench::new(Backend::Notes).await;
    let mut calls = Vec::new();
    for _ in 0..100 {
        calls.push(bench.call(bench.slot(PATH).await));
    }
    let innocent = bench.call(bench.slot(PATH).await);
    let lane = Arc::clone(innocent.lane());
    drop(calls);
    lane.close();
    advance(Duration::from_secs(1)).await;
    assert_eq!(bench.lanes.calls(), 85, "a call is still on it");
    innocent.finish();
    let start = Instant::now();
    while bench.session.open_streams() > 0 {
        assert!(start.elapsed() < Duration::from_secs(5));
        advance(Duration::from_millis(10)).await;
    }
    assert_eq!(bench.lanes.calls(), 0);
}

/// Backends count pings as abuse: grpc-go, and so every edge of the original's, ends the connection at the third.
#[tokio::test(start_paused = true)]
async fn no_ping_is_ever_sent_on_a_lane() {
    let bench = Bench::new(Backend::Notes).await;
    let call = bench.call(bench.slot(PATH).await);
    bench.lanes.promote(call.lane(), PATH);
    for _ in 0..3600 {
        advance(Duration::from_secs(1)).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(bench.session.open_streams(), 1);
    let noted = bench.noted.lock().unwrap().clone();
    const HEADERS: u8 = 1;
    const PING: u8 = 6;
    assert!(noted.contains(&HEADERS), "{noted:?}");
    assert!(!noted.contains(&PING), "{noted:?}");
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_takes_few_calls_gets_several_lanes_and_then_calls_wait() {
    let bench = Bench::new(Backend::H2(1)).await;
    let mut calls = Vec::new();
    for lanes in 1..=16 {
        calls.push(bench.call(bench.slot(PATH).await));
        assert_eq!(bench.opened(), lanes);
    }
    let start = Instant::now();
    assert_eq!(
        bench.lanes.acquire(PATH, CALLER).await.unwrap_err(),
        NoLane::Busy
    );
    assert!(start.elapsed() >= Duration::from_secs(1));
    // A place that comes free goes to the one that waits.
    let waiting = bench.lanes.acquire(PATH, CALLER);
    let free = async {
        tokio::task::yield_now().await;
        drop(calls.pop());
    };
    let (slot, ()) = tokio::join!(waiting, free);
    assert!(slot.is_ok());
    assert_eq!(bench.opened(), 16);
}

/// Calls that have a place on the edge, and wait for one on a lane, take turns too.
#[tokio::test(start_paused = true)]
async fn one_caller_with_many_calls_does_not_keep_another_from_a_lane() {
    let bench = Bench::new(Backend::H2(1)).await;
    let mut calls = Vec::new();
    for _ in 0..16 {
        calls.push(bench.call(bench.slot(PATH).await));
    }
    let mut served = FuturesUnordered::new();
    for n in 0..200 {
        // The other comes last.
        let caller = CallerId(u64::from(n == 199));
        let acquire = bench.lanes.acquire(PATH, caller);
        served.push(async move { (caller, acquire.await) });
    }
    assert!(futures::poll!(served.next()).is_pending());
    let mut before = 0;
    while let (CallerId(0), slot) = {
        drop(calls.pop());
        served.next().await.unwrap()
    } {
        slot.unwrap();
        before += 1;
    }
    assert!(before < 3, "{before} calls of one came first");
}

#[tokio::test(start_paused = true)]
async fn bulk_and_other_calls_keep_apart() {
    let bench = Bench::new(Backend::H2(1000)).await;
    let bulk = bench.slot("/s/bulk").await;
    let beside = bench.slot(PATH).await;
    assert!(Arc::ptr_eq(bulk.lane(), beside.lane()));
    bench.lanes.promote(bulk.lane(), "/s/bulk");
    let other = bench.slot(PATH).await;
    assert!(
        !Arc::ptr_eq(bulk.lane(), other.lane()),
        "new calls go elsewhere"
    );
    let again = bench.slot("/s/bulk").await;
    assert!(Arc::ptr_eq(bulk.lane(), again.lane()), "its path is known");
}

#[tokio::test(start_paused = true)]
async fn calls_of_a_lost_tunnel_learn_that_it_was_the_tunnel() {
    let bench = Bench::new(Backend::H2(1000)).await;
    let mut call = bench.call(bench.slot(PATH).await);
    bench.session.close(Code::Ok, "test");
    let error = std::future::poll_fn(|cx| call.poll_response(cx))
        .await
        .unwrap_err();
    let why = call.explain(&error).await;
    assert!(
        matches!(
            why,
            super::lane::StreamError::Lane(super::lane::LaneEnd::TunnelLost)
        ),
        "{why:?}"
    );
    call.finish();
    let gone = bench.lanes.acquire(PATH, CALLER).await.unwrap_err();
    assert_eq!(gone, NoLane::Dial(DialFailure::Unprocessed));
}
