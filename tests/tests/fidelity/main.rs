//! A call through the tunnel is the call that would have been made without it.
//!
//! Every case is made twice, to the backend itself and through the tunnel, and what the caller got and the backend saw
//! must be the same. The documented differences: `client-id` is gone, and `:authority` is the backend's own.
//!
//! `PROPTEST_CASES` says how many cases; a thousand and more take longer than the rest of a suite.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

mod calls;
mod cases;

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use grpc_multiplexer_tests::{Answer, Backend, Caller, Edge, Ended, Mux, Seen};
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use calls::{make, play};
use cases::{Case, End, Kind, SIZES, bytes_of, case, empty_frames};

/// Who compare cases at the same time, each on connections of its own.
const PAIRS: u32 = 6;
/// Cases of one run, where the environment does not say.
const FEW: u32 = 120;
/// h2 takes a hundred DATA frames without a byte in a connection's life. No case has as many as this is below.
const EMPTY_FRAMES: usize = 60;

/// A case under way, and which calls at the backend are its.
struct Played {
    case: Case,
    calls: Vec<usize>,
}

/// A server, an edge, and a backend that plays cases.
struct Bench {
    backend: Backend,
    cases: Arc<Mutex<HashMap<String, Played>>>,
    made: AtomicUsize,
    mux: Mux,
    _edge: Edge,
}

impl Bench {
    /// Options of the edge say how.
    async fn start(edge: &[&str]) -> Self {
        let cases = Arc::<Mutex<HashMap<String, Played>>>::default();
        let played = Arc::clone(&cases);
        // A caller may send what it likes in tiny frames; how many may wait unread is not what this is about.
        let mut settings = h2::server::Builder::new();
        settings.data_frame_budget(1 << 40);
        let backend = Backend::h2_with(&settings, move |call| {
            let mut cases = played.lock().unwrap();
            let played = cases.get_mut(call.request.uri().path()).unwrap();
            played.calls.push(call.number());
            play(call, played.case.clone())
        })
        .await;
        let mux = Mux::with(&["--log-level", "info"]).await;
        let address = backend.address.to_string();
        let edge = Edge::dialling(mux.multiplexer, "rainbow", &address, edge);
        edge.says(" connected ").await;
        Self {
            backend,
            cases,
            made: AtomicUsize::new(0),
            mux,
            _edge: edge,
        }
    }

    /// Makes both calls of a case.
    async fn make(&self, callers: &Pair, case: &Case) -> Both {
        let n = self.made.fetch_add(1, Ordering::Relaxed);
        let path = format!("/fidelity.Service/Case{n}");
        let played = Played {
            case: case.clone(),
            calls: Vec::new(),
        };
        self.cases.lock().unwrap().insert(path.clone(), played);
        let direct = make(&callers.direct, &path, case, None).await;
        let tunnelled = make(&callers.tunnelled, &path, case, Some("rainbow")).await;
        let played = self.cases.lock().unwrap().remove(&path).unwrap();
        let seen = played.calls.iter().map(|n| self.backend.take_call(*n));
        let seen: Vec<_> = seen.collect();
        Both {
            path,
            answers: [direct, tunnelled],
            seen: seen.try_into().expect("one call each"),
        }
    }
}

/// Connections of one who compares.
struct Pair {
    direct: Caller,
    tunnelled: Caller,
    empty_frames: usize,
}

impl Pair {
    async fn to(bench: &Bench) -> Self {
        Self {
            direct: Caller::connect(bench.backend.address).await,
            tunnelled: Caller::connect(bench.mux.proxy).await,
            empty_frames: 0,
        }
    }
}

/// A case made directly, and through the tunnel.
struct Both {
    path: String,
    answers: [Answer; 2],
    seen: [Seen; 2],
}

impl Both {
    /// What differs, though it must not.
    fn check(self, bench: &Bench, case: &Case) {
        let [direct, tunnelled] = self.answers;
        assert_eq!(direct.error, None);
        // Bodies of a megabyte are no good in a message.
        assert!(direct.body == tunnelled.body, "response bytes differ");
        assert!(direct.body == case.responses.concat().concat());
        let without_body = |answer: Answer| Answer {
            body: Vec::new(),
            ..answer
        };
        assert_eq!(without_body(direct), without_body(tunnelled));
        let [direct, tunnelled] = self.seen;
        assert_eq!(direct.origin, "http://mux.test");
        let origin = format!("http://{}", bench.backend.address);
        assert_eq!(tunnelled.origin, origin);
        assert_eq!(direct.path, self.path);
        assert_eq!(direct.ended, Some(Ended::Cleanly));
        assert!(
            direct.body == tunnelled.body,
            "request bytes differ: {} and {} of {}",
            direct.body.len(),
            tunnelled.body.len(),
            bytes_of(&case.requests),
        );
        assert!(direct.body == case.requests.concat().concat());
        let comparable = |seen: Seen| Seen {
            body: Vec::new(),
            origin: String::new(),
            ..seen
        };
        assert_eq!(comparable(direct), comparable(tunnelled));
    }
}

/// Compares case after case on the same connections.
struct Comparer {
    bench: Arc<Bench>,
    pair: Option<Pair>,
}

impl Comparer {
    fn of(bench: &Arc<Bench>) -> Self {
        Self {
            bench: Arc::clone(bench),
            pair: None,
        }
    }

    async fn compare(&mut self, case: &Case) {
        // What failed before left connections in who knows what state.
        let mut pair = match self.pair.take() {
            Some(pair) if pair.empty_frames < EMPTY_FRAMES => pair,
            _ => Pair::to(&self.bench).await,
        };
        let both = self.bench.make(&pair, case).await;
        both.check(&self.bench, case);
        pair.empty_frames += empty_frames(case);
        self.pair = Some(pair);
    }

    /// Compares random cases; panics with the smallest that differs.
    fn random(mut self, runtime: &Handle, cases: u32) {
        let config = Config {
            cases,
            // Nothing is left beside the sources.
            failure_persistence: None,
            max_shrink_iters: 200,
            ..Config::default()
        };
        let comparer = std::cell::RefCell::new(&mut self);
        TestRunner::new(config)
            .run(&case(), |case| {
                runtime.block_on(comparer.borrow_mut().compare(&case));
                Ok(())
            })
            .unwrap_or_else(|error| panic!("{error}"));
    }
}

/// An edge that takes part in HTTP/2.
const TERMINATES: &[&str] = &["--backend-mode", "terminate"];

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnelled_call_is_the_direct_one() {
    compares(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnelled_call_is_the_direct_one_where_the_edge_ends_flow_control() {
    compares(TERMINATES).await;
}

async fn compares(edge: &[&str]) {
    let bench = Arc::new(Bench::start(edge).await);
    let cases = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => Config::default().cases,
        None => FEW,
    };
    let mut comparers = JoinSet::new();
    for _ in 0..PAIRS {
        let (comparer, runtime) = (Comparer::of(&bench), Handle::current());
        comparers.spawn_blocking(move || comparer.random(&runtime, cases.div_ceil(PAIRS)));
    }
    // All of them, so that none is left without the runtime that it runs on.
    let mut failed = None;
    while let Some(compared) = comparers.join_next().await {
        failed = failed.or(compared.err());
    }
    if let Some(failed) = failed {
        resume_unwind(failed.into_panic());
    }
}

/// What the property might not hit in one run: each size, alone, both ways, in each kind.
#[tokio::test]
async fn every_size_passes_in_every_kind() {
    for edge in [&[], TERMINATES] {
        let bench = Arc::new(Bench::start(edge).await);
        passes_every_size(Comparer::of(&bench)).await;
    }
}

async fn passes_every_size(mut comparer: Comparer) {
    for size in SIZES {
        for kind in [
            Kind::Unary,
            Kind::ServerStream,
            Kind::ClientStream,
            Kind::Bidi,
        ] {
            let message = vec![vec![7; size]];
            let case = Case {
                kind,
                metadata: Vec::new(),
                requests: vec![message.clone()],
                end: End::Alone,
                headers: Vec::new(),
                responses: vec![message],
                trailers: vec![("grpc-status".to_owned(), b"0".to_vec())],
            };
            comparer.compare(&case).await;
        }
    }
}

/// A backend may answer before it was asked to the end.
#[tokio::test]
async fn an_answer_before_the_requests_end_is_the_same() {
    let backend = Backend::h2(|mut call| async move {
        call.chunk().await;
        call.respond(&[("grpc-status", "9"), ("grpc-message", "enough")], true);
    })
    .await;
    let mux = Mux::start().await;
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let mut answers = Vec::new();
    for (address, metadata) in [
        (backend.address, &[][..]),
        (mux.proxy, &[("client-id", "rainbow")]),
    ] {
        let caller = Caller::connect(address).await;
        let mut call = caller.start("/s/m", metadata).await;
        call.data(b"first", false).await;
        assert!(call.headers().await);
        answers.push(call.answer().await);
    }
    assert_eq!(answers[0].code(), Some(9));
    assert!(answers[0].trailers_only && answers[1].trailers_only);
    assert_eq!(answers[0].headers, answers[1].headers);
}
