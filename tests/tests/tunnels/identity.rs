//! Which tunnel has a client id: further tunnels of one edge, twins, ghosts, and what watchers are told of it all.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use grpc_multiplexer_proto::v1::watch_grpc_server_response::Event;
use grpc_multiplexer_proto::v1::{
    ListGrpcServerRequest, WatchGrpcServerRequest, WatchGrpcServerResponse,
};
use grpc_multiplexer_tests::{
    Backend, Call, Caller, Edge, Folder, Mux, hello, metric, until, within,
};
use grpc_multiplexer_tunnel::message::{Code, Hello, Refused};
use grpc_multiplexer_tunnel::{
    Established, HandshakeError, Incoming, Session, SessionError, TunnelConfig, dial,
};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::Streaming;

const ID: &str = "rainbow";

/// What an edge in the test says of itself.
#[derive(Clone, Default)]
struct Who {
    instance: u8,
    slot: u32,
    token: Vec<u8>,
}

impl Who {
    fn instance(instance: u8) -> Self {
        Self {
            instance,
            ..Self::default()
        }
    }

    fn with(self, tunnel: &Tunnel) -> Self {
        Self {
            token: tunnel.token.clone(),
            ..self
        }
    }

    fn slot(self, slot: u32) -> Self {
        Self { slot, ..self }
    }
}

/// One tunnel of an edge in the test. Cut when dropped.
struct Tunnel {
    session: Session,
    token: Vec<u8>,
    generation: u64,
    _tasks: JoinSet<()>,
}

impl Tunnel {
    /// Dials for the id, and serves its streams from `backend`.
    async fn dial(mux: &Mux, who: &Who, backend: &Backend) -> Result<Self, HandshakeError> {
        let socket = TcpStream::connect(mux.multiplexer).await.unwrap();
        let hello = Hello {
            instance_id: vec![who.instance; 16],
            resume_token: who.token.clone(),
            tunnel_slot: who.slot,
            ..hello(ID)
        };
        let (tunnel, welcome) = dial(Box::new(socket), hello, &TunnelConfig::default()).await?;
        let Established {
            session,
            incoming,
            task,
        } = tunnel;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            task.run().await;
        });
        tasks.spawn(serve(incoming, backend.address));
        Ok(Self {
            session,
            token: welcome.resume_token,
            generation: welcome.verdicts[0].generation,
            _tasks: tasks,
        })
    }

    async fn open(mux: &Mux, who: &Who, backend: &Backend) -> Self {
        let dialled = within("a welcome", Self::dial(mux, who, backend)).await;
        dialled.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn refused(mux: &Mux, who: &Who, backend: &Backend) -> Refused {
        match within("a refusal", Self::dial(mux, who, backend)).await {
            Err(HandshakeError::Refused(refused)) => *refused,
            Err(other) => panic!("{other}"),
            Ok(tunnel) => panic!("taken as {}", tunnel.generation),
        }
    }

    async fn end(&self) -> SessionError {
        within("a tunnel's end", self.session.closed())
            .await
            .clone()
    }
}

async fn serve(mut incoming: Incoming, backend: SocketAddr) {
    let mut streams = JoinSet::new();
    while let Some(stream) = incoming.next().await {
        streams.spawn(async move {
            let pending = stream.read_open(Duration::from_secs(5)).await.unwrap();
            // The server may have given it up.
            let Ok(mut stream) = pending.accept().await else {
                return;
            };
            let mut socket = TcpStream::connect(backend).await.unwrap();
            let _ = copy_bidirectional(&mut stream, &mut socket).await;
        });
    }
}

/// A backend that answers with its name: headers at once, the rest when there is a permit.
async fn named(name: &'static str, permits: usize) -> (Backend, Arc<Semaphore>) {
    let go = Arc::new(Semaphore::new(permits));
    let permits = Arc::clone(&go);
    let backend = Backend::h2(move |mut call| {
        let go = Arc::clone(&permits);
        async move {
            call.headers();
            go.acquire().await.unwrap().forget();
            call.data(name.as_bytes()).await;
            call.trailers(&[("grpc-status", "0")]);
        }
    })
    .await;
    (backend, go)
}

/// One that never lets a call wait.
async fn prompt(name: &'static str) -> Backend {
    named(name, Semaphore::MAX_PERMITS).await.0
}

async fn whose(caller: &Caller) -> String {
    let answer = caller.call("/s/m", &[("client-id", ID)], b"").await;
    answer.is_backends(0);
    String::from_utf8(answer.body).unwrap()
}

/// A call whose headers came back.
async fn held(caller: &Caller) -> Call {
    let request = Caller::request("/s/m", &[("client-id", ID)]);
    let mut call = caller.send(request, true).await;
    assert!(call.headers().await);
    call
}

/// What a watcher gets, in order.
struct Watch(Streaming<WatchGrpcServerResponse>);

impl Watch {
    async fn plain(mux: &Mux) -> Self {
        Self::of(mux, WatchGrpcServerRequest::default()).await
    }

    /// One that gets details, and so also updates.
    async fn extended(mux: &Mux) -> Self {
        let request = WatchGrpcServerRequest {
            details: true,
            ..WatchGrpcServerRequest::default()
        };
        Self::of(mux, request).await
    }

    async fn of(mux: &Mux, request: WatchGrpcServerRequest) -> Self {
        let mut discovery = mux.discovery().await;
        let watch = within("the watch's headers", discovery.watch_grpc_server(request));
        Self(watch.await.unwrap().into_inner())
    }

    async fn next(&mut self) -> (Event, Option<u64>) {
        let event = within("an event", self.0.message()).await;
        let event = event.unwrap().expect("a watch does not end by itself");
        assert_eq!(event.server, ID);
        (event.event(), event.edge.map(|edge| edge.generation))
    }

    async fn is(&mut self, wanted: &[(Event, Option<u64>)]) {
        for wanted in wanted {
            assert_eq!(self.next().await, *wanted);
        }
    }

    async fn is_plain(&mut self, wanted: &[Event]) {
        for wanted in wanted {
            assert_eq!(self.next().await, (*wanted, None));
        }
    }
}

/// Tunnels that lost the id so far.
async fn takeovers(mux: &Mux, reason: &str) -> f64 {
    metric(
        mux.admin,
        &format!("takeovers_total{{reason=\"{reason}\"}}"),
    )
    .await
}

async fn calls_in_flight(mux: &Mux) -> u32 {
    let request = ListGrpcServerRequest {
        details: true,
        ..ListGrpcServerRequest::default()
    };
    let listed = mux.discovery().await.list_grpc_server(request).await;
    let listed = listed.unwrap().into_inner();
    assert_eq!(listed.servers, [ID], "one entry, however many tunnels");
    listed.edges[0].calls_in_flight
}

const REPLACE: [&str; 2] = ["--duplicate-client-id", "replace"];

#[tokio::test]
async fn a_new_tunnel_of_the_same_edge_takes_over_and_calls_in_flight_finish() {
    let mux = Mux::start().await;
    let (mut plain, mut extended) = (Watch::plain(&mux).await, Watch::extended(&mux).await);
    let (old, go) = named("old", 0).await;
    let new = prompt("new").await;
    let first = Tunnel::open(&mux, &Who::instance(1), &old).await;
    let caller = Caller::connect(mux.proxy).await;
    let call = held(&caller).await;
    let second = Tunnel::open(&mux, &Who::instance(1).with(&first), &new).await;
    assert!(second.generation > first.generation);
    assert_ne!(second.token, first.token);
    for _ in 0..10 {
        assert_eq!(whose(&caller).await, "new");
    }
    assert!(!first.session.is_closed(), "a call is on it");
    go.add_permits(1);
    let answer = call.answer().await;
    answer.is_backends(0);
    assert_eq!(answer.body, b"old");
    match first.end().await {
        SessionError::Goodbye { code, reason } => {
            assert_eq!(code, Code::Ok);
            assert!(
                reason.contains("another tunnel of the same edge"),
                "{reason}"
            );
        }
        other => panic!("{other}"),
    }
    mux.says("another tunnel took the place of this one").await;
    assert_eq!(takeovers(&mux, "superseded").await, 1.0);
    // Its late goodbye evicted nobody.
    mux.says("edge disconnected").await;
    assert_eq!(whose(&caller).await, "new");
    drop(second);
    let (first, second) = (Some(1), Some(2));
    let events = [
        (Event::Connected, first),
        (Event::Updated, second),
        (Event::Disconnected, None),
    ];
    extended.is(&events).await;
    plain
        .is_plain(&[Event::Connected, Event::Disconnected])
        .await;
}

#[tokio::test]
async fn without_its_newest_token_a_tunnel_is_another_edges() {
    let mux = Mux::start().await;
    let backend = prompt("it").await;
    let me = Who::instance(1);
    let first = Tunnel::open(&mux, &me, &backend).await;
    assert!(first.token.len() >= 16);
    let second = Tunnel::open(&mux, &me.clone().with(&first), &backend).await;
    // The server knows that the welcome arrived, as it had the answer to its heartbeat before that of a call. From then
    // on the token before is void.
    within("a round trip", second.session.proven()).await;
    let caller = Caller::connect(mux.proxy).await;
    assert_eq!(whose(&caller).await, "it");
    let strangers = [
        me.clone(),
        Who {
            token: vec![7; second.token.len()],
            ..me.clone()
        },
        // Of the welcome before.
        me.clone().with(&first),
        // Another instance has no use for it.
        Who::instance(2).with(&second),
        // Nor does another slot come in without.
        me.clone().slot(1),
    ];
    for stranger in &strangers {
        let refused = Tunnel::refused(&mux, stranger, &backend).await;
        assert_eq!(refused.code(), Code::DuplicateClientId);
        let text = "another edge is connected as 'rainbow'; each edge needs a name of its own";
        assert_eq!(refused.text, text);
        assert_eq!(refused.retry_after.map(|after| after.seconds), Some(2));
    }
    assert!(!second.session.is_closed());
    let third = Tunnel::open(&mux, &me.with(&second), &backend).await;
    let said = mux.log().join("\n");
    for secret in [&first.token, &second.token, &third.token, &vec![1; 16]] {
        let shown = [format!("{secret:?}"), hex(secret)];
        assert!(
            shown.iter().all(|shown| !said.contains(shown)),
            "a secret in the log"
        );
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn what_cannot_be_an_identity_is_refused_with_what_would_be_right() {
    let mux = Mux::start().await;
    let backend = prompt("it").await;
    let refused = Tunnel::refused(&mux, &Who::instance(1).slot(8), &backend).await;
    assert_eq!(refused.code(), Code::Malformed);
    assert_eq!(refused.text, "tunnel_slot is 8; this server takes 0 to 7");
}

#[tokio::test]
async fn tunnels_of_one_edge_serve_side_by_side() {
    let mux = Mux::start().await;
    let (mut plain, mut extended) = (Watch::plain(&mux).await, Watch::extended(&mux).await);
    let (zero, go_zero) = named("zero", 0).await;
    let (one, go_one) = named("one", 0).await;
    let me = Who::instance(1);
    let first = Tunnel::open(&mux, &me, &zero).await;
    let other = Tunnel::open(&mux, &me.clone().slot(1).with(&first), &one).await;
    let caller = Caller::connect(mux.proxy).await;
    let mut calls = Vec::new();
    for _ in 0..10 {
        calls.push(held(&caller).await);
    }
    // Each went to the less loaded of the two.
    assert_eq!((zero.seen().len(), one.seen().len()), (5, 5));
    assert_eq!(calls_in_flight(&mux).await, 10);
    // The other slot's tunnel goes, and with its calls nobody else.
    drop(other);
    extended
        .is(&[
            (Event::Connected, Some(1)),
            (Event::Updated, Some(2)),
            (Event::Updated, Some(1)),
        ])
        .await;
    assert_eq!(calls_in_flight(&mux).await, 5);
    go_zero.add_permits(100);
    assert_eq!(whose(&caller).await, "zero");
    // And comes back, by the token of its sibling.
    let other = Tunnel::open(&mux, &me.slot(1).with(&first), &one).await;
    extended.is(&[(Event::Updated, Some(3))]).await;
    go_one.add_permits(100);
    drop(first);
    extended.is(&[(Event::Updated, Some(3))]).await;
    assert_eq!(whose(&caller).await, "one");
    drop(other);
    extended.is(&[(Event::Disconnected, None)]).await;
    plain
        .is_plain(&[Event::Connected, Event::Disconnected])
        .await;
}

#[tokio::test]
async fn replicas_share_an_id_where_that_is_asked_for() {
    let mux = Mux::with(&["--duplicate-client-id", "balance"]).await;
    let mut plain = Watch::plain(&mux).await;
    let (one, go) = named("one", 0).await;
    let two = named("two", 0).await;
    let first = Tunnel::open(&mux, &Who::instance(1), &one).await;
    let second = Tunnel::open(&mux, &Who::instance(2), &two.0).await;
    let caller = Caller::connect(mux.proxy).await;
    let mut calls = Vec::new();
    for _ in 0..10 {
        calls.push(held(&caller).await);
    }
    assert_eq!((one.seen().len(), two.0.seen().len()), (5, 5));
    drop(second);
    until("the other's calls to be gone", async || {
        (calls_in_flight(&mux).await == 5).then_some(())
    })
    .await;
    go.add_permits(100);
    for _ in 0..10 {
        assert_eq!(whose(&caller).await, "one");
    }
    drop(first);
    plain
        .is_plain(&[Event::Connected, Event::Disconnected])
        .await;
}

#[tokio::test]
async fn a_twin_replaces_where_that_is_asked_for_until_it_is_too_often() {
    let mux = Mux::with(&REPLACE).await;
    let mut plain = Watch::plain(&mux).await;
    let backend = prompt("it").await;
    let mut holder = Tunnel::open(&mux, &Who::instance(0), &backend).await;
    for twin in 1..=6 {
        let next = Tunnel::open(&mux, &Who::instance(twin), &backend).await;
        match holder.end().await {
            SessionError::Goodbye { code, reason } => {
                assert_eq!(code, Code::DuplicateClientId);
                assert!(
                    reason.contains("another edge took the client id"),
                    "{reason}"
                );
            }
            other => panic!("{other}"),
        }
        holder = next;
    }
    for twin in [7, 8] {
        let refused = Tunnel::refused(&mux, &Who::instance(twin), &backend).await;
        assert_eq!(refused.code(), Code::DuplicateClientId);
        assert!(
            refused.text.contains("each edge needs a name"),
            "{refused:?}"
        );
        let after = refused.retry_after.unwrap().seconds;
        assert!((30..=60).contains(&after), "{after}");
    }
    let said = mux.log();
    let said: Vec<_> = said
        .iter()
        .filter(|line| line.contains("in turn: "))
        .collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("incumbent=127.0.0.1:") && said[0].contains("newcomer=127.0.0.1:"));
    assert_eq!(takeovers(&mux, "replaced").await, 6.0);
    // The same edge is no twin.
    let again = Who::instance(6).with(&holder);
    let again = Tunnel::open(&mux, &again, &backend).await;
    let caller = Caller::connect(mux.proxy).await;
    assert_eq!(whose(&caller).await, "it");
    drop(again);
    plain
        .is_plain(&[Event::Connected, Event::Disconnected])
        .await;
}

#[tokio::test]
async fn what_becomes_of_twins_reloads() {
    let folder = Folder::new("duplicates");
    let file = folder.put("server.yaml", "duplicate-client-id: reject\n");
    let mux = Mux::with(&["--config", &file]).await;
    let backend = prompt("it").await;
    let first = Tunnel::open(&mux, &Who::instance(1), &backend).await;
    Tunnel::refused(&mux, &Who::instance(2), &backend).await;
    folder.put("server.yaml", "duplicate-client-id: balance\n");
    mux.reload().await;
    let _second = Tunnel::open(&mux, &Who::instance(2), &backend).await;
    assert!(!first.session.is_closed());
}

/// Each round is another process of the edge; nobody waits for the one before to be forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_deaths_are_a_hundred_epochs() {
    const ROUNDS: usize = 100;
    let mux = Mux::start().await;
    let mut plain = [Watch::plain(&mux).await, Watch::plain(&mux).await];
    let mut extended = Watch::extended(&mux).await;
    let backend = prompt("it").await;
    for round in 0..ROUNDS {
        let who = Who::instance(u8::try_from(round).unwrap());
        // A last byte of the one before may be taken for a sign of life: then it is said to try again.
        let tunnel = until("a welcome", async || {
            Tunnel::dial(&mux, &who, &backend).await.ok()
        })
        .await;
        drop(tunnel);
    }
    for round in 1..=ROUNDS {
        let generation = Some(u64::try_from(round).unwrap());
        extended.is(&[(Event::Connected, generation)]).await;
        extended.is(&[(Event::Disconnected, None)]).await;
        for plain in &mut plain {
            plain
                .is_plain(&[Event::Connected, Event::Disconnected])
                .await;
        }
    }
    assert_eq!(mux.listed().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_killed_edge_makes_room_for_the_next_at_once() {
    let mux = Mux::start().await;
    let mut plain = Watch::plain(&mux).await;
    let backend = prompt("it").await;
    let caller = Caller::connect(mux.proxy).await;
    let mut edge = Edge::start(&mux, ID, backend.address).await;
    for _ in 0..5 {
        edge.signal("KILL");
        edge = Edge::start(&mux, ID, backend.address).await;
        assert_eq!(whose(&caller).await, "it");
        plain
            .is_plain(&[Event::Connected, Event::Disconnected])
            .await;
    }
}

/// An edge that is stopped keeps its socket open, and says nothing.
#[tokio::test]
async fn a_ghost_loses_its_id_and_does_not_get_it_back() {
    let mux = Mux::start().await;
    let mut plain = Watch::plain(&mux).await;
    let (ghosts, new) = (prompt("ghost").await, prompt("new").await);
    let caller = Caller::connect(mux.proxy).await;
    let ghost = Edge::start(&mux, ID, ghosts.address).await;
    assert_eq!(whose(&caller).await, "ghost");
    ghost.signal("STOP");
    let start = Instant::now();
    let edge = Edge::start(&mux, ID, new.address).await;
    // Idle, it would be found out after 20 s at the earliest.
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
    let line = mux.says("gave no sign of life").await;
    assert!(line.contains("generation=1 successor=2"), "{line}");
    assert_eq!(takeovers(&mux, "silent").await, 1.0);
    assert_eq!(whose(&caller).await, "new");

    ghost.signal("CONT");
    ghost.says("another edge took the client id").await;
    assert_eq!(whose(&caller).await, "new");
    drop(ghost);
    drop(edge);
    plain
        .is_plain(&[Event::Connected, Event::Disconnected])
        .await;
}
