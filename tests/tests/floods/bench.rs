//! A server, an edge, its backend, and a bystander who calls it all the time.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use grpc_multiplexer_tests::{Backend, Caller, Edge, Frame, FrameConnection, H2Call, HungUp, Mux};
use tokio::task::JoinSet;
use tokio::time::Instant;

pub(crate) const ID: (&str, &str) = ("client-id", "rainbow");
/// GOAWAY's code for whoever floods.
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;
/// What a call may take on a machine that is busy with a flood. The times themselves are printed.
const PATIENCE: Duration = Duration::from_secs(5);
/// Calls that show how long one takes when all is quiet.
const QUIET: usize = 200;

pub(crate) struct Bench {
    pub(crate) mux: Mux,
    pub(crate) backend: Backend,
    bystander: Arc<Caller>,
    _edge: Edge,
}

impl Bench {
    /// With a backend that echoes.
    pub(crate) async fn start() -> Self {
        Self::with(Backend::h2(answer).await).await
    }

    pub(crate) async fn with(backend: Backend) -> Self {
        let mux = Mux::with(&["--log-level", "info"]).await;
        Self {
            bystander: Arc::new(Caller::connect(mux.proxy).await),
            _edge: Edge::start(&mux, "rainbow", backend.address).await,
            backend,
            mux,
        }
    }

    pub(crate) async fn attacker(&self) -> FrameConnection {
        FrameConnection::connect(self.mux.proxy).await
    }

    /// Floods from a connection of its own, whose first stream is a call that hangs.
    pub(crate) async fn flood(&self, chunks: impl IntoIterator<Item = Vec<u8>>) -> Option<HungUp> {
        let mut attacker = self.attacker().await;
        attacker.send(&call(1, "/s/hang", false)).await;
        attacker.flood(chunks).await
    }

    /// Does `what` while the bystander calls. No call fails or takes long, and the server grows by no more than `grown`
    /// megabytes.
    pub(crate) async fn unnoticed<T>(&self, grown: u64, what: impl Future<Output = T>) -> T {
        let quiet = bystander_calls(&self.bystander, |calls| calls < QUIET).await;
        let before = self.mux.resident();
        let over = Arc::new(AtomicBool::new(false));
        let mut calls = JoinSet::new();
        // On a thread of its own, or it would wait for the flood's next frame.
        calls.spawn({
            let (bystander, over) = (Arc::clone(&self.bystander), Arc::clone(&over));
            async move { bystander_calls(&bystander, |_| !over.load(Ordering::Relaxed)).await }
        });
        let value = what.await;
        over.store(true, Ordering::Relaxed);
        let busy = calls.join_next().await.unwrap().unwrap();
        let growth = self.mux.resident().saturating_sub(before);
        println!("quiet {quiet:?}, meanwhile {busy:?}, grown by {growth} KiB");
        assert!(growth <= grown * 1024, "{growth} KiB");
        assert!(busy.longest < PATIENCE, "{busy:?}");
        value
    }
}

async fn bystander_calls(bystander: &Caller, go_on: impl Fn(usize) -> bool) -> Times {
    let mut times = Vec::new();
    while go_on(times.len()) {
        let started = Instant::now();
        let answer = bystander.call("/s/echo", &[ID], b"still there?").await;
        times.push(started.elapsed());
        assert_eq!(answer.code(), Some(0), "{answer:?}");
        assert_eq!(answer.body, b"still there?");
    }
    Times::of(times)
}

/// How long calls took.
#[derive(Debug)]
#[expect(dead_code, reason = "printed")]
struct Times {
    calls: usize,
    median: Duration,
    p99: Duration,
    longest: Duration,
}

impl Times {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |share: f64| {
            let place = (times.len() as f64 * share) as usize;
            times
                .get(place)
                .or(times.last())
                .copied()
                .unwrap_or_default()
        };
        Self {
            calls: times.len(),
            median: at(0.5),
            p99: at(0.99),
            longest: at(1.0),
        }
    }
}

/// What the backend does: `/s/echo` echoes, `/s/hang` never answers.
pub(crate) async fn answer(mut call: H2Call) {
    let mut body = Vec::new();
    if call.request.uri().path() == "/s/hang" {
        return call.wait_reset().await;
    }
    while let Some(chunk) = call.chunk().await {
        body.extend_from_slice(&chunk);
    }
    call.ok(&body).await;
}

/// The HEADERS of a call of the bench's edge, by hand.
pub(crate) fn call(stream: u32, path: &str, end: bool) -> Frame {
    Frame::call(stream, path, ID.1, end)
}

/// `n` times the same frame, many at a time.
pub(crate) fn repeated(frame: &Frame, n: usize) -> impl Iterator<Item = Vec<u8>> + use<> {
    const AT_ONCE: usize = 200;
    let chunk = frame.bytes().repeat(AT_ONCE);
    std::iter::repeat_n(chunk, n.div_ceil(AT_ONCE))
}
