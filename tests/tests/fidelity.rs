//! A call through the tunnel is the call that would have been made without it.
//!
//! Every case is made twice, to the backend itself and through the tunnel, and what the caller got and the backend saw
//! must be the same. The documented differences: `client-id` is gone, and `:authority` is the backend's own.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use grpc_multiplexer_tests::{Answer, Backend, Caller, Edge, H2Call, Mux, Seen};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

/// Where frames and windows have their edges.
const SIZES: [usize; 10] = [
    0,
    1,
    5,
    (1 << 14) - 1,
    1 << 14,
    (1 << 14) + 1,
    (1 << 16) - 1,
    1 << 16,
    (1 << 16) + 1,
    1 << 20,
];

type Metadata = Vec<(String, Vec<u8>)>;

/// One message, in the pieces in which it is sent.
type Message = Vec<Vec<u8>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Unary,
    ServerStream,
    ClientStream,
    /// Every message waits for the answer to the one before.
    Bidi,
    /// The answer is one frame.
    TrailersOnly,
}

#[derive(Debug, Clone, Copy)]
enum End {
    WithTheLastBytes,
    Alone,
    Trailers,
}

#[derive(Clone)]
struct Case {
    kind: Kind,
    metadata: Metadata,
    requests: Vec<Message>,
    end: End,
    headers: Metadata,
    responses: Vec<Message>,
    trailers: Metadata,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sizes = |messages: &[Message]| -> Vec<Vec<usize>> {
            let pieces = |message: &Message| message.iter().map(Vec::len).collect();
            messages.iter().map(pieces).collect()
        };
        f.debug_struct("Case")
            .field("kind", &self.kind)
            .field("metadata", &self.metadata)
            .field("requests", &sizes(&self.requests))
            .field("end", &self.end)
            .field("headers", &self.headers)
            .field("responses", &sizes(&self.responses))
            .field("trailers", &self.trailers)
            .finish()
    }
}

fn map(entries: &Metadata) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in entries {
        let value = HeaderValue::from_bytes(value).unwrap();
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
    }
    map
}

fn bytes_of(messages: &[Message]) -> usize {
    messages.iter().flatten().map(Vec::len).sum()
}

fn entry() -> impl Strategy<Value = (String, Vec<u8>)> {
    let text = prop_oneof![
        Just("m-repeated".to_owned()),
        Just("user-agent".to_owned()),
        Just("grpc-encoding".to_owned()),
        "m-[a-z0-9._-]{0,12}".prop_map(|name| name.trim_end_matches("-bin").to_owned()),
    ];
    let value = prop_oneof![
        Just(Vec::new()),
        "[!-~]([ -~]{0,40}[!-~])?".prop_map(String::into_bytes),
        // Neither ASCII nor UTF-8.
        vec(0x80..=0xff_u8, 1..20),
    ];
    // With and without padding, and several in one.
    let binary = "[A-Za-z0-9+/]{4}{0,9}(AA(==)?)?(,AQ)?".prop_map(String::into_bytes);
    let name = prop_oneof![Just("b-repeated-bin".to_owned()), "b-[a-z0-9]{0,6}-bin"];
    prop_oneof![(text, value), (name, binary)]
}

fn message() -> impl Strategy<Value = Message> {
    let flag = prop_oneof![Just(None), select(vec![0, 1, 0x80, 0xff_u8]).prop_map(Some)];
    (
        select(SIZES.to_vec()),
        flag,
        any::<u8>(),
        vec(any::<Index>(), 0..4),
    )
        .prop_map(|(size, flag, seed, cuts)| {
            let body = (0..size).map(|n| seed.wrapping_add((n % 251) as u8));
            let mut bytes = Vec::new();
            // Without one it is no gRPC message, which is nobody's business on the way.
            if let Some(flag) = flag {
                bytes.push(flag);
                bytes.extend(u32::try_from(size).unwrap().to_be_bytes());
            }
            bytes.extend(body);
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            for cut in cuts.into_iter().rev() {
                pieces.push(bytes.split_off(cut));
            }
            pieces.push(bytes);
            pieces.reverse();
            pieces
        })
}

fn case() -> impl Strategy<Value = Case> {
    let kinds = vec![
        Kind::Unary,
        Kind::ServerStream,
        Kind::ClientStream,
        Kind::Bidi,
        Kind::Bidi,
        Kind::TrailersOnly,
    ];
    let ends = vec![End::WithTheLastBytes, End::Alone, End::Trailers];
    let status = (0..20_u8, "[!-$&-~]{0,20}(%20|%C3%A4)?", vec(entry(), 0..8));
    (select(kinds), select(ends), status).prop_flat_map(|(kind, end, status)| {
        let (requests, responses) = match kind {
            Kind::Unary => (1..=1, 1..=1),
            Kind::ServerStream => (1..=1, 0..=4),
            Kind::ClientStream => (0..=4, 1..=1),
            Kind::Bidi => (4..=4, 4..=4),
            Kind::TrailersOnly => (0..=1, 0..=0),
        };
        let (code, text, more) = status;
        let mut trailers = vec![("grpc-status".to_owned(), code.to_string().into_bytes())];
        if !text.is_empty() {
            trailers.push(("grpc-message".to_owned(), text.into_bytes()));
        }
        trailers.extend(more);
        (
            vec(entry(), 0..16),
            vec(message(), requests),
            vec(entry(), 0..8),
            vec(message(), responses),
        )
            .prop_map(move |(metadata, requests, headers, responses)| Case {
                kind,
                metadata,
                requests,
                end,
                headers,
                responses,
                trailers: trailers.clone(),
            })
    })
}

/// Does as the case of its path says.
async fn play(mut call: H2Call, case: Case) {
    let mut response = Response::new(());
    *response.headers_mut() = map(&case.headers);
    let content_type = HeaderValue::from_static("application/grpc+fidelity");
    response.headers_mut().insert("content-type", content_type);
    match case.kind {
        Kind::TrailersOnly => {
            call.read_all().await;
            response.headers_mut().extend(map(&case.trailers));
            call.respond_with(response, true);
            return;
        }
        Kind::Bidi => {
            call.respond_with(response, false);
            let (mut got, mut wanted) = (0, 0);
            for (request, answer) in case.requests.iter().zip(&case.responses) {
                wanted += bytes_of(std::slice::from_ref(request));
                while got < wanted {
                    let Some(chunk) = call.chunk().await else {
                        return;
                    };
                    got += chunk.len();
                }
                for piece in answer {
                    call.data(piece).await;
                }
            }
            call.read_all().await;
        }
        Kind::Unary | Kind::ServerStream | Kind::ClientStream => {
            call.read_all().await;
            call.respond_with(response, false);
            for piece in case.responses.iter().flatten() {
                call.data(piece).await;
            }
        }
    }
    // A caller that left is seen in what it says of its answer.
    let _ = call.stream().send_trailers(map(&case.trailers));
}

/// Makes the call of a case.
async fn make(caller: &Caller, path: &str, case: &Case, client_id: Option<&str>) -> Answer {
    let mut request = Caller::request(path, &[]);
    request.headers_mut().extend(map(&case.metadata));
    if let Some(id) = client_id {
        request
            .headers_mut()
            .insert("client-id", id.parse().unwrap());
    }
    let mut call = caller.send(request, false).await;
    if case.kind == Kind::Bidi {
        assert!(call.headers().await, "headers wait for nothing");
    }
    let mut answered = 0;
    let last = case.requests.len().saturating_sub(1);
    let mut ended = false;
    for (n, message) in case.requests.iter().enumerate() {
        for (m, piece) in message.iter().enumerate() {
            let is_last = n == last && m + 1 == message.len();
            ended = is_last && matches!(case.end, End::WithTheLastBytes);
            call.data(piece, ended).await;
        }
        if case.kind == Kind::Bidi {
            answered += bytes_of(&case.responses[n..=n]);
            call.bytes(answered).await;
        }
    }
    match case.end {
        End::Trailers => {
            let trailers = map(&vec![("m-trailer".to_owned(), b"1".to_vec())]);
            call.sender().send_trailers(trailers).unwrap();
        }
        End::WithTheLastBytes if ended => {}
        End::WithTheLastBytes | End::Alone => call.data(b"", true).await,
    }
    call.answer().await
}

/// A server, an edge, and a backend that plays cases.
struct Pair {
    backend: Backend,
    cases: Arc<Mutex<HashMap<String, Case>>>,
    made: usize,
    mux: Mux,
    _edge: Edge,
}

impl Pair {
    async fn start() -> Self {
        let cases = Arc::<Mutex<HashMap<String, Case>>>::default();
        let played = Arc::clone(&cases);
        let backend = Backend::h2(move |call| {
            let case = played.lock().unwrap()[call.request.uri().path()].clone();
            play(call, case)
        })
        .await;
        let mux = Mux::start().await;
        let edge = Edge::start(&mux, "rainbow", backend.address).await;
        Self {
            backend,
            cases,
            made: 0,
            mux,
            _edge: edge,
        }
    }

    async fn compare(&mut self, case: Case) {
        let path = format!("/fidelity.Service/Case{}", self.made);
        self.cases
            .lock()
            .unwrap()
            .insert(path.clone(), case.clone());
        // Anew each time: h2 takes a hundred empty DATA frames in a connection's life, and the cases are full of them.
        let caller = Caller::connect(self.backend.address).await;
        let direct = make(&caller, &path, &case, None).await;
        let caller = Caller::connect(self.mux.proxy).await;
        let tunnelled = make(&caller, &path, &case, Some("rainbow")).await;
        assert_eq!(direct.error, None);
        // Bodies of a megabyte are no good in a message.
        assert!(direct.body == tunnelled.body, "response bytes differ");
        assert_eq!(direct.body.len(), bytes_of(&case.responses));
        let without_body = |answer: Answer| Answer {
            body: Vec::new(),
            ..answer
        };
        assert_eq!(without_body(direct), without_body(tunnelled));
        let seen = [self.made, self.made + 1].map(|n| self.backend.seen_call(n));
        self.made += 2;
        let [direct, tunnelled] = seen;
        assert_eq!(direct.origin, "http://mux.test");
        assert_eq!(tunnelled.origin, format!("http://{}", self.backend.address));
        assert_eq!(direct.path, path);
        assert_eq!(tunnelled.path, path);
        assert!(
            direct.body == tunnelled.body,
            "request bytes differ: {} and {} of {}, {:?} and {:?}",
            direct.body.len(),
            tunnelled.body.len(),
            bytes_of(&case.requests),
            direct.ended,
            tunnelled.ended,
        );
        assert_eq!(direct.body.len(), bytes_of(&case.requests));
        let comparable = |seen: Seen| Seen {
            body: Vec::new(),
            origin: String::new(),
            ..seen
        };
        assert_eq!(comparable(direct), comparable(tunnelled));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnelled_call_is_the_direct_one() {
    let mut pair = Pair::start().await;
    let mut config = Config {
        // Nothing is left beside the sources.
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 60;
    }
    let pair = std::cell::RefCell::new(&mut pair);
    TestRunner::new(config)
        .run(&case(), |case| {
            block_in_place(|| Handle::current().block_on(pair.borrow_mut().compare(case)));
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

/// What the property might not hit in one run: each size, alone, both ways, in each kind.
#[tokio::test]
async fn every_size_passes_in_every_kind() {
    let mut pair = Pair::start().await;
    for size in SIZES {
        for kind in [
            Kind::Unary,
            Kind::ServerStream,
            Kind::ClientStream,
            Kind::Bidi,
        ] {
            let message = vec![vec![7; size]];
            pair.compare(Case {
                kind,
                metadata: Vec::new(),
                requests: vec![message.clone()],
                end: End::Alone,
                headers: Vec::new(),
                responses: vec![message],
                trailers: vec![("grpc-status".to_owned(), b"0".to_vec())],
            })
            .await;
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
