//! Backends that count resets and end connections over them lose none, or none twice; and no other call is harmed.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use grpc_multiplexer_tests::{
    Backend, Call, Caller, Frame, FrameConnection, Path, kind, metric, until, within,
};
use h2::Reason;
use tokio::time::{Instant, interval};

const ENHANCE_YOUR_CALM: u32 = 11;
const INTERNAL_ERROR: u32 = 2;
/// First SETTINGS that tell nothing.
const UNKNOWN: &[(u16, u32)] = &[(3, 1_000)];
const OF_NODE: &[(u16, u32)] = &[];
const OF_HYPER: &[(u16, u32)] = &[(3, 200), (4, 1 << 20), (5, 16_384), (6, 16_384)];

/// Between two looks of a backend that accepts. Less than what proves to us that it did.
const ACCEPTS: Duration = Duration::from_millis(15);

/// What a backend bears of resets on one connection.
#[derive(Debug, Clone, Copy)]
enum Bears {
    /// So many, and some more each second; then GOAWAY, and what is running goes on. As nghttp2.
    Bucket { burst: f64, per_second: f64 },
    /// So many in 30 s; then GOAWAY and the end. As Netty.
    In30s(usize),
    /// So many at a time of calls that it did not accept; then GOAWAY and the end. As hyper, which accepts when it
    /// comes to it.
    Unaccepted(usize),
    /// No more than half of all calls, once they are so many; then the end. As Envoy.
    HalfAfter(usize),
}

/// What the backend saw, over all connections.
#[derive(Debug, Default)]
struct Seen {
    connections: usize,
    /// Connections that were ended over resets.
    deaths: usize,
    resets: usize,
    /// Calls that were cut by the end of their connection.
    cut: usize,
    /// Calls that hang, so far.
    hanging: usize,
    /// Those of them whose request ended.
    ended: usize,
}

#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Seen>>);

impl Log {
    fn note<T>(&self, change: impl FnOnce(&mut Seen) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    /// Waits until so many calls came that hang.
    async fn hanging(&self, calls: usize) {
        // At once: what follows is to come before the backend accepted them.
        within(&format!("{calls} calls that hang"), async {
            while self.note(|seen| seen.hanging) < calls {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Waits until so many calls learned that they were cancelled.
    async fn cancelled(&self, calls: usize) {
        until(&format!("{calls} cancelled calls"), async || {
            self.note(|seen| (seen.resets + seen.cut >= calls).then_some(()))
        })
        .await;
    }
}

/// One connection of a backend: answers `echo`, begins an answer to `stream` and goes on at `more`, and leaves `hang` alone.
struct Connection {
    frames: FrameConnection,
    bears: Bears,
    log: Log,
    started: usize,
    last: u32,
    open: BTreeSet<u32>,
    unaccepted: BTreeSet<u32>,
    /// Of them, those that were reset: they count until they are accepted.
    reset_unaccepted: BTreeSet<u32>,
    resets: usize,
    tokens: f64,
    refilled: Instant,
    went_away: bool,
}

impl Connection {
    async fn run(mut self) {
        // No call's bytes wait for a window.
        let window = Frame::new(kind::WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes());
        self.frames.send(&window).await;
        let mut accept = interval(ACCEPTS);
        loop {
            let frame = tokio::select! {
                biased;
                _ = accept.tick() => {
                    self.accept(u32::MAX - 1);
                    continue;
                }
                frame = self.frames.frame() => frame,
            };
            let Some(frame) = frame else { break };
            match frame.kind {
                kind::HEADERS => self.headers(frame.stream),
                kind::DATA => self.data(&frame).await,
                kind::RST_STREAM if !self.reset(frame.stream).await => {
                    self.log.note(|seen| seen.deaths += 1);
                    break;
                }
                _ => {}
            }
        }
        self.log.note(|seen| seen.cut += self.open.len());
    }

    fn headers(&mut self, stream: u32) {
        if self.went_away {
            return;
        }
        self.started += 1;
        self.last = stream;
        self.open.insert(stream);
        self.unaccepted.insert(stream);
    }

    /// In the order in which they came.
    fn accept(&mut self, up_to: u32) {
        self.unaccepted = self.unaccepted.split_off(&(up_to + 1));
        self.reset_unaccepted = self.reset_unaccepted.split_off(&(up_to + 1));
    }

    async fn data(&mut self, frame: &Frame) {
        let stream = frame.stream;
        let headers = [(":status", "200"), ("content-type", "application/grpc")];
        match frame.payload.get(5..) {
            _ if !self.open.contains(&stream) => {}
            Some(b"echo") => {
                self.accept(stream);
                self.open.remove(&stream);
                let answer = [
                    Frame::headers(stream, &headers, false),
                    Frame::data(stream, &frame.payload, false),
                    Frame::headers(stream, &[("grpc-status", "0")], true),
                ];
                self.frames.send_all(&answer).await;
            }
            Some(b"stream") => {
                let begin = [
                    Frame::headers(stream, &headers, false),
                    Frame::data(stream, &frame.payload, false),
                ];
                self.frames.send_all(&begin).await;
            }
            Some(b"hang") => self.log.note(|seen| seen.hanging += 1),
            Some(b"more") => {
                let more = Frame::data(stream, &frame.payload, false);
                self.frames.send(&more).await;
            }
            // The end of a request that was never ended.
            _ => self
                .log
                .note(|seen| seen.ended += usize::from(frame.ends())),
        }
    }

    /// Whether one more reset is borne, or at least does not end the connection.
    async fn reset(&mut self, stream: u32) -> bool {
        if !self.open.remove(&stream) {
            return true;
        }
        self.resets += 1;
        self.log.note(|seen| seen.resets += 1);
        let code = match self.bears {
            Bears::Bucket { burst, per_second } => {
                let passed = self.refilled.elapsed().as_secs_f64();
                self.refilled = Instant::now();
                self.tokens = (self.tokens + passed * per_second).min(burst) - 1.0;
                if self.tokens < 0.0 && !self.went_away {
                    self.went_away = true;
                    self.log.note(|seen| seen.deaths += 1);
                    let goaway = Frame::go_away(self.last, INTERNAL_ERROR);
                    self.frames.send(&goaway).await;
                }
                return true;
            }
            Bears::In30s(most) if self.resets > most => ENHANCE_YOUR_CALM,
            Bears::Unaccepted(most) if self.unaccepted.contains(&stream) => {
                self.reset_unaccepted.insert(stream);
                if self.reset_unaccepted.len() <= most {
                    return true;
                }
                ENHANCE_YOUR_CALM
            }
            Bears::HalfAfter(calls)
                if self.started - self.open.len() > calls && self.resets * 2 > self.started =>
            {
                return false;
            }
            _ => return true,
        };
        let goaway = Frame::go_away(self.last, code);
        self.frames.send(&goaway).await;
        false
    }
}

async fn backend(settings: &'static [(u16, u32)], bears: Bears) -> (Backend, Log) {
    let log = Log::default();
    let kept = log.clone();
    let backend = Backend::tcp(move |socket| {
        let log = log.clone();
        async move {
            log.note(|seen| seen.connections += 1);
            let connection = Connection {
                frames: FrameConnection::accept_with(socket, settings).await,
                bears,
                log,
                started: 0,
                last: 0,
                open: BTreeSet::new(),
                unaccepted: BTreeSet::new(),
                reset_unaccepted: BTreeSet::new(),
                resets: 0,
                tokens: match bears {
                    Bears::Bucket { burst, .. } => burst,
                    _ => 0.0,
                },
                refilled: Instant::now(),
                went_away: false,
            };
            connection.run().await;
        }
    })
    .await;
    (backend, kept)
}

/// A gRPC message on the wire.
fn message(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap();
    [&[0], &length.to_be_bytes()[..], text.as_bytes()].concat()
}

async fn start(caller: &Caller, text: &str, end: bool) -> Call {
    let mut call = caller.start("/s/m", &[("client-id", "rainbow")]).await;
    call.data(&message(text), end).await;
    call
}

/// A call whose answer began.
async fn stream(caller: &Caller) -> Call {
    let mut call = start(caller, "stream", false).await;
    call.bytes(message("stream").len()).await;
    call
}

/// More comes and goes on a call that [`stream`] began.
async fn still_flows(call: &mut Call) {
    let more = message("more");
    call.data(&more, false).await;
    call.bytes(message("stream").len() + more.len()).await;
}

async fn echo(caller: &Caller) {
    let answer = start(caller, "echo", true).await.answer().await;
    assert_eq!(answer.code(), Some(0), "{answer:?}");
}

/// Starts calls that hang, `at_once` at a time, and cancels them, until `cancels` are; others call all the time.
async fn storm(path: &Path, log: &Log, cancels: usize, at_once: usize) {
    let hostile = Caller::connect(path.mux.proxy).await;
    let mut cancelled = 0;
    while cancelled < cancels {
        let hang = (0..at_once).map(|_| start(&hostile, "hang", false));
        let mut calls = join_all(hang).await;
        // Those that did not leave the server would be cancelled there.
        log.hanging(cancelled + at_once).await;
        let innocent = (0..5).map(|_| echo(&path.caller));
        let cancel = async { calls.iter_mut().for_each(|call| call.reset(Reason::CANCEL)) };
        tokio::join!(join_all(innocent), cancel);
        cancelled += at_once;
        log.cancelled(cancelled).await;
    }
}

/// A storm of cancels on a backend: nobody else is harmed, and no connection is lost. Returns how many there were.
async fn survives(settings: &'static [(u16, u32)], bears: Bears, cancels: usize) -> usize {
    let (backend, log) = backend(settings, bears).await;
    let path = Path::to(&backend).await;
    let mut innocent = stream(&path.caller).await;
    storm(&path, &log, cancels, 100).await;
    until("no call is held", async || {
        let held = metric(path.mux.admin, "cancels_held").await;
        (held == 0.0).then_some(())
    })
    .await;
    // It is still there, and can still be cancelled.
    still_flows(&mut innocent).await;
    innocent.reset(Reason::CANCEL);
    log.cancelled(cancels + 1).await;
    let resets = metric(path.mux.admin, "lane_resets_total").await;
    let waits = metric(path.mux.admin, "cancel_hold_seconds_count").await;
    assert!(
        resets > 0.0 && waits >= resets,
        "{resets} resets, {waits} waits"
    );
    let rotations = metric(path.mux.admin, "lane_rotations_total").await;
    log.note(|seen| {
        assert_eq!(seen.deaths, 0, "{seen:?}");
        assert!(rotations < seen.connections as f64, "{rotations}: {seen:?}");
        assert_eq!(
            seen.ended, 0,
            "a cancelled upload looked like an end: {seen:?}"
        );
        seen.connections
    })
}

#[tokio::test]
async fn a_backend_that_bears_a_thousand_resets_and_33_a_second_ends_no_connection() {
    let like_node = Bears::Bucket {
        burst: 1_000.0,
        per_second: 33.0,
    };
    let connections = survives(OF_NODE, like_node, 3_000).await;
    assert!((4..=10).contains(&connections), "{connections}");
}

#[tokio::test]
async fn a_backend_that_bears_200_resets_in_30_s_ends_no_connection() {
    survives(UNKNOWN, Bears::In30s(200), 1_500).await;
}

#[tokio::test]
async fn a_backend_that_bears_20_resets_of_unaccepted_calls_ends_no_connection() {
    let connections = survives(OF_HYPER, Bears::Unaccepted(20), 3_000).await;
    // It does not count the others, so nothing is rotated.
    assert!(connections <= 2, "{connections}");
}

#[tokio::test]
async fn a_backend_that_weighs_resets_against_all_calls_ends_no_connection() {
    survives(UNKNOWN, Bears::HalfAfter(500), 1_500).await;
}

#[tokio::test]
async fn a_backend_that_bears_less_than_its_kind_is_learnt_from() {
    let strict = Bears::Bucket {
        burst: 100.0,
        per_second: 1.0,
    };
    let (backend, log) = backend(OF_NODE, strict).await;
    let path = Path::to(&backend).await;
    let hostile = Caller::connect(path.mux.proxy).await;
    let mut innocent = stream(&path.caller).await;
    for wave in 1..=10 {
        let mut calls = Vec::new();
        for _ in 0..40 {
            calls.push(stream(&hostile).await);
        }
        calls.iter_mut().for_each(|call| call.reset(Reason::CANCEL));
        log.cancelled(wave * 40).await;
        // A call that crosses the GOAWAY may find no other lane.
        let code = "backend_go_aways_total{code=\"internal-error\"}";
        until("each GOAWAY arrived", async || {
            let arrived = metric(path.mux.admin, code).await;
            (arrived == log.note(|seen| seen.deaths) as f64).then_some(())
        })
        .await;
        echo(&path.caller).await;
    }
    let deaths = log.note(|seen| seen.deaths);
    assert_eq!(deaths, 1, "one is enough to learn");
    assert!(metric(path.mux.admin, "lane_rotations_total").await > 1.0);
    path.mux.says("bears fewer cancelled calls").await;
    // The call on the connection that was ended goes on, and can still be cancelled.
    still_flows(&mut innocent).await;
    innocent.reset(Reason::CANCEL);
    log.cancelled(401).await;
}
