//! The discovery API, and health and reflection beside it.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::SystemTime;

use bytes::{Buf as _, Bytes};
use grpc_multiplexer_proto::v1::watch_grpc_server_response::Event;
use grpc_multiplexer_proto::v1::{
    ListGrpcServerRequest, WatchGrpcServerRequest, WatchGrpcServerResponse,
};
use grpc_multiplexer_tests::{Answer, Backend, Call, Caller, Edge, Mux, hello, until, within};
use grpc_multiplexer_tunnel::message::Hello;
use grpc_multiplexer_tunnel::{HandshakeError, Session, TunnelConfig, dial};
use h2::Reason;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::transport::{Channel, Endpoint as Target};
use tonic::{Code, Request, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1, v1alpha};

const LIST: &str = "/grpc.multiplexer.v1.DiscoveryService/ListGRPCServer";
const WATCH: &str = "/grpc.multiplexer.v1.DiscoveryService/WatchGRPCServer";
const DISCOVERY: &str = "grpc.multiplexer.v1.DiscoveryService";
const ECHO: &str = "grpc.multiplexer.examples.v1.EchoService";

/// An edge in the test: its tunnel and nothing else. Cut when dropped.
struct Tunnel {
    session: Session,
    _task: JoinSet<()>,
}

impl Tunnel {
    async fn open(server: SocketAddr, client_id: &str) -> Self {
        let tunnel = Self::try_open(server, client_id).await;
        tunnel.unwrap_or_else(|error| panic!("{client_id}: {error}"))
    }

    async fn try_open(server: SocketAddr, client_id: &str) -> Result<Self, HandshakeError> {
        let socket = TcpStream::connect(server).await.unwrap();
        let offer = Hello {
            instance_id: vec![1; 16],
            ..hello(client_id)
        };
        let (tunnel, _) = dial(Box::new(socket), offer, &TunnelConfig::default()).await?;
        let mut task = JoinSet::new();
        task.spawn(async move {
            // Held, or streams would be refused.
            let _incoming = tunnel.incoming;
            tunnel.task.run().await;
        });
        Ok(Self {
            session: tunnel.session,
            _task: task,
        })
    }

    /// Opens one as soon as the server let go of the one before.
    async fn reopen(server: SocketAddr, client_id: &str) -> Self {
        within("the id to be free", async {
            loop {
                if let Ok(tunnel) = Self::try_open(server, client_id).await {
                    return tunnel;
                }
            }
        })
        .await
    }
}

async fn channel(mux: &Mux) -> Channel {
    let target = Target::from_shared(format!("http://{}", mux.proxy)).unwrap();
    target.connect().await.unwrap()
}

async fn watch(mux: &Mux, request: WatchGrpcServerRequest) -> Streaming<WatchGrpcServerResponse> {
    let mut discovery = mux.discovery().await;
    let watch = within("the watch's headers", discovery.watch_grpc_server(request));
    watch.await.unwrap().into_inner()
}

fn snapshot() -> WatchGrpcServerRequest {
    WatchGrpcServerRequest {
        snapshot: true,
        ..WatchGrpcServerRequest::default()
    }
}

async fn next(watch: &mut Streaming<WatchGrpcServerResponse>) -> WatchGrpcServerResponse {
    let event = within("an event", watch.message()).await;
    event.unwrap().expect("a watch does not end by itself")
}

async fn list(mux: &Mux, request: ListGrpcServerRequest) -> Result<Vec<String>, tonic::Status> {
    let listed = mux.discovery().await.list_grpc_server(request).await?;
    Ok(listed.into_inner().servers)
}

/// A gRPC message.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[0][..], &length.to_be_bytes(), message].concat()
}

/// Waits for the next message of a call.
async fn message(call: &mut Call, rest: &mut Vec<u8>) -> Vec<u8> {
    loop {
        if let Some((head, _)) = rest.split_first_chunk::<5>() {
            let length = usize::try_from((&head[1..]).get_u32()).unwrap();
            if rest.len() >= 5 + length {
                let tail = rest.split_off(5 + length);
                return std::mem::replace(rest, tail).split_off(5);
            }
        }
        rest.extend(call.chunk().await.expect("a message"));
    }
}

#[derive(Debug, PartialEq)]
enum Field {
    Number(u64),
    Bytes(Vec<u8>),
}

/// The fields of a protobuf message, read by hand.
fn fields(message: &[u8]) -> Vec<(u64, Field)> {
    let mut bytes = Bytes::copy_from_slice(message);
    let mut fields = Vec::new();
    while bytes.has_remaining() {
        let key = prost::encoding::decode_varint(&mut bytes).unwrap();
        let value = prost::encoding::decode_varint(&mut bytes).unwrap();
        fields.push((
            key >> 3,
            match key & 7 {
                0 => Field::Number(value),
                2 => Field::Bytes(bytes.split_to(value.try_into().unwrap()).to_vec()),
                other => panic!("wire type {other}"),
            },
        ));
    }
    fields
}

fn text(value: &str) -> Field {
    Field::Bytes(value.into())
}

#[tokio::test]
async fn fields_that_are_not_served_are_refused_by_name() {
    let mux = Mux::start().await;
    let mut discovery = mux.discovery().await;
    let filter = "a".to_owned();
    let request = ListGrpcServerRequest {
        filter: filter.clone(),
        ..ListGrpcServerRequest::default()
    };
    let refused = discovery.list_grpc_server(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    assert_eq!(
        refused.metadata().get("x-mux-error").unwrap(),
        "unsupported-field"
    );
    assert!(refused.message().contains("'filter'"), "{refused:?}");
    for (field, request) in [
        (
            "'filter'",
            WatchGrpcServerRequest {
                filter,
                ..WatchGrpcServerRequest::default()
            },
        ),
        (
            "'resume_after'",
            WatchGrpcServerRequest {
                resume_after: "x".to_owned(),
                ..WatchGrpcServerRequest::default()
            },
        ),
    ] {
        let refused = discovery.watch_grpc_server(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unimplemented);
        assert!(refused.message().contains(field), "{refused:?}");
    }
}

#[tokio::test]
async fn a_method_that_discovery_lacks_is_unimplemented() {
    let mux = Mux::start().await;
    let caller = Caller::connect(mux.proxy).await;
    for metadata in [&[][..], &[("client-id", "nobody")]] {
        let path = format!("/{DISCOVERY}/Nothing");
        let answer = caller.call(&path, metadata, &framed(b"")).await;
        assert_eq!(answer.code(), Some(12), "{answer:?}");
        assert_eq!(answer.mux_error(), Some("own-service"));
    }
}

#[tokio::test]
async fn a_request_that_is_no_message_is_answered_and_harms_nobody() {
    let mux = Mux::start().await;
    let caller = Caller::connect(mux.proxy).await;
    let garbage = caller.call(LIST, &[], &framed(&[0xff; 9])).await;
    assert_eq!(garbage.code(), Some(13), "{garbage:?}");
    assert_eq!(garbage.mux_error(), Some("own-service"));
    // A message that is cut short.
    let short = caller.call(LIST, &[], &[0, 0, 0, 0, 9, 1]).await;
    assert_eq!(short.code(), Some(13), "{short:?}");
    let fine = caller.call(LIST, &[], &framed(b"")).await;
    assert_eq!(fine.code(), Some(0), "{fine:?}");
}

#[tokio::test]
async fn discovery_ignores_client_ids_whatever_they_are() {
    let mux = Mux::start().await;
    let _edge = Tunnel::open(mux.multiplexer, "a").await;
    let caller = Caller::connect(mux.proxy).await;
    let one = ("client-id", "nobody");
    for metadata in [&[][..], &[one], &[one, one], &[("client-id", "no id")]] {
        let answer = caller.call(LIST, metadata, &framed(b"")).await;
        assert_eq!(answer.code(), Some(0), "{answer:?}");
        assert_eq!(fields(&answer.body[5..])[0], (1, text("a")));
    }
}

#[tokio::test]
async fn a_watch_ends_at_its_deadline() {
    let mux = Mux::start().await;
    let caller = Caller::connect(mux.proxy).await;
    let metadata = [("grpc-timeout", "100m")];
    let answer = caller.call(WATCH, &metadata, &framed(b"")).await;
    answer.is_ours(4, "mux: deadline exceeded", "deadline", "no");
    assert!(!answer.trailers_only, "its headers went out before");
}

#[tokio::test]
async fn a_plain_watcher_gets_live_events_and_nothing_that_it_does_not_know() {
    let mux = Mux::start().await;
    let _before = Tunnel::open(mux.multiplexer, "before").await;
    // Answered though nothing happens.
    let mut watch = watch(&mux, WatchGrpcServerRequest::default()).await;
    let plain = |server: &str, event: Event| WatchGrpcServerResponse {
        server: server.to_owned(),
        event: event.into(),
        ..WatchGrpcServerResponse::default()
    };
    for _ in 0..2 {
        let edge = Tunnel::reopen(mux.multiplexer, "a").await;
        assert_eq!(next(&mut watch).await, plain("a", Event::Connected));
        edge.session
            .close(grpc_multiplexer_tunnel::message::Code::Ok, "bye");
        assert_eq!(next(&mut watch).await, plain("a", Event::Disconnected));
    }
}

#[tokio::test]
async fn an_empty_snapshot_ends_at_once_and_live_events_follow() {
    let mux = Mux::start().await;
    let mut watch = watch(&mux, snapshot()).await;
    let end = next(&mut watch).await;
    assert_eq!((end.event(), end.server.as_str()), (Event::SnapshotEnd, ""));
    assert!(!end.revision.is_empty());
    let _edge = Tunnel::open(mux.multiplexer, "a").await;
    let live = next(&mut watch).await;
    assert_eq!(
        (live.event(), live.server.as_str()),
        (Event::Connected, "a")
    );
    assert_ne!(live.revision, end.revision);
    assert_eq!(live.edge, None, "no details were asked for");
}

#[tokio::test]
async fn a_snapshot_has_the_edges_of_now_sorted_and_with_details_on_request() {
    let mux = Mux::start().await;
    let _b = Tunnel::open(mux.multiplexer, "b").await;
    let _a = Tunnel::open(mux.multiplexer, "a").await;
    let request = WatchGrpcServerRequest {
        details: true,
        ..snapshot()
    };
    let mut watch = watch(&mux, request).await;
    for id in ["a", "b"] {
        let event = next(&mut watch).await;
        assert_eq!(
            (event.event(), event.server.as_str()),
            (Event::Connected, id)
        );
        assert_eq!(event.edge.unwrap().client_id, id);
    }
    let end = next(&mut watch).await;
    assert_eq!((end.event(), end.edge), (Event::SnapshotEnd, None));
}

/// Edges come and go as fast as they can while watchers begin. None of them may miss or double a change.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_and_what_follows_have_no_gap_and_no_double() {
    let mux = Mux::start().await;
    let server = mux.multiplexer;
    let stop = Arc::new(AtomicBool::new(false));
    let rounds = Arc::new(AtomicUsize::new(0));
    let mut churn = JoinSet::new();
    for n in 0..6 {
        let (stop, rounds) = (Arc::clone(&stop), Arc::clone(&rounds));
        churn.spawn(async move {
            let id = format!("edge-{n}");
            while !stop.load(Ordering::Relaxed) {
                drop(Tunnel::reopen(server, &id).await);
                rounds.fetch_add(1, Ordering::Relaxed);
            }
            // Even ones stay.
            let last = Tunnel::reopen(server, &id).await;
            (n % 2 == 0).then_some(last)
        });
    }
    let mut watchers = Vec::new();
    for _ in 0..30 {
        let mut watch = watch(&mux, snapshot()).await;
        // What comes next is in the middle of the churn.
        let first = next(&mut watch).await;
        watchers.push((watch, first));
    }
    until("edges to come and go", async || {
        (rounds.load(Ordering::Relaxed) > 20).then_some(())
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    let _staying = within("the end of the churn", churn.join_all()).await;
    let wanted: BTreeSet<_> = ["edge-0", "edge-2", "edge-4"].map(str::to_owned).into();
    until("all to settle", async || {
        (mux.listed().await.into_iter().collect::<BTreeSet<_>>() == wanted).then_some(())
    })
    .await;
    let _last = Tunnel::open(server, "last").await;
    for (mut watch, first) in watchers {
        let mut edges = BTreeSet::new();
        let mut snapshot_over = false;
        let mut event = first;
        loop {
            let id = event.server.clone();
            match event.event() {
                Event::Connected if id == "last" => break,
                Event::Connected => assert!(edges.insert(id), "twice connected: {event:?}"),
                Event::Disconnected => {
                    assert!(snapshot_over, "{event:?}");
                    assert!(edges.remove(&id), "never connected: {event:?}");
                }
                Event::SnapshotEnd => {
                    assert!(!std::mem::replace(&mut snapshot_over, true), "ended twice");
                }
                other => panic!("{other:?}"),
            }
            event = next(&mut watch).await;
        }
        assert_eq!(edges, wanted);
    }
}

#[tokio::test]
async fn details_tell_everything_about_an_edge() {
    let mux = Mux::start().await;
    let backend = Backend::h2(|mut call| async move {
        call.headers();
        call.read_all().await;
    })
    .await;
    let before = SystemTime::now();
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let caller = Caller::connect(mux.proxy).await;
    let mut call = caller.start("/s/m", &[("client-id", "rainbow")]).await;
    assert!(call.headers().await);
    let request = ListGrpcServerRequest {
        details: true,
        ..ListGrpcServerRequest::default()
    };
    let mut discovery = mux.discovery().await;
    let listed = discovery
        .list_grpc_server(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(listed.servers, ["rainbow"]);
    assert!(!listed.revision.is_empty());
    let edge = &listed.edges[0];
    assert_eq!(edge.client_id, "rainbow");
    let version = format!("grpc-multiplexer/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(edge.version, version);
    let since: SystemTime = edge.connected_since.unwrap().try_into().unwrap();
    assert!(before <= since && since <= SystemTime::now(), "{since:?}");
    assert_eq!(edge.generation, 1);
    let remote: SocketAddr = edge.remote_address.parse().unwrap();
    assert!(remote.ip().is_loopback() && remote.port() != 0);
    assert_eq!(edge.calls_in_flight, 1);
    until("a heartbeat's round trip", async || {
        let listed = discovery.list_grpc_server(request_with_details()).await;
        listed.unwrap().into_inner().edges[0].heartbeat_rtt
    })
    .await;
    let plain = discovery.list_grpc_server(ListGrpcServerRequest::default());
    assert_eq!(plain.await.unwrap().into_inner().edges, []);
}

fn request_with_details() -> ListGrpcServerRequest {
    ListGrpcServerRequest {
        details: true,
        ..ListGrpcServerRequest::default()
    }
}

#[tokio::test]
async fn a_long_list_comes_in_pages() {
    let mux = Mux::start().await;
    let mut tunnels = Vec::new();
    for id in ["c", "a", "e", "b", "d"] {
        tunnels.push(Tunnel::open(mux.multiplexer, id).await);
    }
    let mut discovery = mux.discovery().await;
    let mut pages = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListGrpcServerRequest {
            page_size: 2,
            page_token,
            ..request_with_details()
        };
        let page = discovery
            .list_grpc_server(request)
            .await
            .unwrap()
            .into_inner();
        let described: Vec<_> = page.edges.iter().map(|edge| &edge.client_id).collect();
        assert_eq!(described, page.servers.iter().collect::<Vec<_>>());
        pages.push(page.servers);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(pages, [vec!["a", "b"], vec!["c", "d"], vec!["e"]]);
    // Exactly a page is one page.
    let request = ListGrpcServerRequest {
        page_size: 5,
        ..ListGrpcServerRequest::default()
    };
    let page = discovery
        .list_grpc_server(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!((page.servers.len(), page.next_page_token.as_str()), (5, ""));
    let request = ListGrpcServerRequest {
        page_token: "not a token".to_owned(),
        ..ListGrpcServerRequest::default()
    };
    let refused = list(&mux, request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(
        refused.metadata().get("x-mux-error").unwrap(),
        "bad-page-token"
    );
}

#[tokio::test]
async fn a_compressed_request_is_read_and_its_answer_compressed() {
    let mux = Mux::start().await;
    let _edge = Tunnel::open(mux.multiplexer, "a").await;
    let discovery = mux.discovery().await;
    let mut discovery = discovery.send_compressed(Gzip).accept_compressed(Gzip);
    let request = request_with_details();
    let listed = discovery.list_grpc_server(request).await.unwrap();
    assert_eq!(listed.metadata().get("grpc-encoding").unwrap(), "gzip");
    assert_eq!(listed.into_inner().servers, ["a"]);
}

/// The queue of a watcher holds 1,024 changes.
#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_falls_behind_is_cut() {
    let mux = Mux::start().await;
    let mut narrow = h2::client::Builder::new();
    let caller = Caller::with(mux.proxy, narrow.initial_window_size(1024)).await;
    let mut slow = caller.start(WATCH, &[]).await;
    slow.data(&framed(b""), true).await;
    assert!(slow.headers().await);
    let mut quick = watch(&mux, WatchGrpcServerRequest::default()).await;
    let server = mux.multiplexer;
    let mut edges = JoinSet::new();
    for worker in 0..8 {
        edges.spawn(async move {
            for n in 0..80 {
                Tunnel::open(server, &format!("edge-{worker}-{n}")).await;
            }
        });
    }
    // Whoever reads gets all of them, beside the slow one.
    for _ in 0..2 * 8 * 80 {
        next(&mut quick).await;
    }
    // Nothing of what it did not read is kept for it. gRPC reads this reset as RESOURCE_EXHAUSTED.
    let answer: Answer = slow.answer().await;
    assert_eq!(answer.reset, Some(Reason::ENHANCE_YOUR_CALM), "{answer:?}");
}

#[tokio::test]
async fn watchers_that_vanish_make_room_for_others() {
    let mux = Mux::start().await;
    let crowd = Caller::connect(mux.proxy).await;
    let mut watches = Vec::new();
    for _ in 0..1000 {
        let mut watch = crowd.start(WATCH, &[]).await;
        watch.data(&framed(b""), true).await;
        assert!(watch.headers().await);
        assert_eq!(watch.seen_headers().get("grpc-status"), None);
        watches.push(watch);
    }
    let caller = Caller::connect(mux.proxy).await;
    let refused = caller.call(WATCH, &[], &framed(b"")).await;
    assert_eq!(refused.code(), Some(8), "{refused:?}");
    // tonic escapes blanks too.
    assert_eq!(refused.message(), "mux:%20too%20many%20watchers");
    assert_eq!(refused.mux_error(), Some("too-many-watchers"));
    assert_eq!(refused.ending("grpc-retry-pushback-ms"), Some("1000"));
    // One by reset, the rest with their connection.
    watches[0].reset(Reason::CANCEL);
    until("room for a watch", async || {
        let mut watch = caller.start(WATCH, &[]).await;
        watch.data(&framed(b""), true).await;
        watch.headers().await;
        let refused = watch.seen_headers().contains_key("grpc-status");
        (!refused).then_some(())
    })
    .await;
    drop(watches);
    drop(crowd);
    until("room for many watches", async || {
        let mut watches = Vec::new();
        for _ in 0..100 {
            let mut watch = caller.start(WATCH, &[]).await;
            watch.data(&framed(b""), true).await;
            watch.headers().await;
            if watch.seen_headers().contains_key("grpc-status") {
                return None;
            }
            watches.push(watch);
        }
        Some(())
    })
    .await;
}

/// Field numbers are frozen: what is read and written here are bytes.
#[tokio::test]
async fn the_bytes_on_the_wire_are_the_originals() {
    let mux = Mux::start().await;
    let caller = Caller::connect(mux.proxy).await;
    let mut plain = caller.start(WATCH, &[]).await;
    plain.data(&framed(b""), true).await;
    assert!(plain.headers().await);
    let mut extended = caller.start(WATCH, &[]).await;
    // 1 snapshot, 4 details.
    extended.data(&framed(b"\x08\x01\x20\x01"), true).await;
    let (mut plain_rest, mut extended_rest) = (Vec::new(), Vec::new());
    let end = fields(&message(&mut extended, &mut extended_rest).await);
    // 2 event = 4 SNAPSHOT_END, 3 revision.
    assert_eq!(end[0], (2, Field::Number(4)));
    assert_eq!((end[1].0, end.len()), (3, 2));

    let edge = Edge::start(&mux, "a", "127.0.0.1:1".parse().unwrap()).await;
    let connected = message(&mut plain, &mut plain_rest).await;
    assert_eq!(connected, b"\x0a\x01a\x10\x01");
    let connected = fields(&message(&mut extended, &mut extended_rest).await);
    assert_eq!(connected[0], (1, text("a")));
    assert_eq!(connected[1], (2, Field::Number(1)));
    let numbers: Vec<_> = connected.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    let (_, Field::Bytes(described)) = &connected[3] else {
        panic!("{connected:?}");
    };
    let described = fields(described);
    assert_eq!(described[0], (1, text("a")));
    let version = format!("grpc-multiplexer/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(described[1], (2, text(&version)));
    assert!(matches!(&described[2], (3, Field::Bytes(_))), "since");
    assert_eq!(described[3], (4, Field::Number(1)));
    assert!(matches!(&described[4], (5, Field::Bytes(_))), "address");

    // 1 page_size, 4 details.
    let listed = caller.call(LIST, &[], &framed(b"\x08\x01\x20\x01")).await;
    let listed = fields(&listed.body[5..]);
    assert_eq!(listed[0], (1, text("a")));
    let numbers: Vec<_> = listed.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [1, 2, 4], "servers, edges, revision");
    // 3 filter, of both; 2 resume_after.
    for (path, request) in [
        (LIST, b"\x1a\x01x"),
        (WATCH, b"\x1a\x01x"),
        (WATCH, b"\x12\x01x"),
    ] {
        let refused = caller.call(path, &[], &framed(request)).await;
        assert_eq!(refused.code(), Some(12), "{refused:?}");
    }
    // 2 page_token; unknown fields are ignored.
    let after = caller.call(LIST, &[], &framed(b"\x12\x01a\x78\x01")).await;
    assert_eq!(fields(&after.body[5..])[0].0, 4, "nothing after a");

    drop(edge);
    let gone = message(&mut plain, &mut plain_rest).await;
    assert_eq!(gone, b"\x0a\x01a\x10\x02");
}

#[tokio::test]
async fn health_is_the_servers_own_without_an_id_and_the_backends_with_one() {
    let mux = Mux::start().await;
    let backend = Backend::echo().await;
    let _edge = Edge::start(&mux, "echo", backend.address).await;
    let mut health = HealthClient::new(channel(&mux).await);
    let request = |service: &str, client_id: Option<&str>| {
        let mut request = Request::new(HealthCheckRequest {
            service: service.to_owned(),
        });
        if let Some(id) = client_id {
            request
                .metadata_mut()
                .insert("client-id", id.parse().unwrap());
        }
        request
    };
    // The backend does not know our services, nor we the backend's.
    for (service, id) in [(DISCOVERY, Some("echo")), (ECHO, None)] {
        let unknown = health.check(request(service, id)).await.unwrap_err();
        assert_eq!(unknown.code(), Code::NotFound, "{service} of {id:?}");
    }
    let away = health.check(request("", Some("nobody"))).await.unwrap_err();
    assert_eq!(away.message(), "Client 'nobody' not registered");
    for (service, id) in [
        ("", None),
        (DISCOVERY, None),
        ("", Some("echo")),
        (ECHO, Some("echo")),
    ] {
        let answer = health.check(request(service, id)).await.unwrap();
        let status = answer.into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{service} of {id:?}");
        let watch = health.watch(request(service, id)).await.unwrap();
        let first = within("the status", watch.into_inner().message()).await;
        let status = first.unwrap().unwrap().status();
        assert_eq!(status, ServingStatus::Serving, "{service} of {id:?}");
    }
}

macro_rules! reflected {
    ($mux:expr, $version:ident, $id:expr) => {{
        use $version::server_reflection_client::ServerReflectionClient;
        use $version::server_reflection_request::MessageRequest;
        use $version::server_reflection_response::MessageResponse;
        let ask = $version::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut request = Request::new(tokio_stream::once(ask));
        if let Some(id) = $id {
            let id: &str = id;
            request
                .metadata_mut()
                .insert("client-id", id.parse().unwrap());
        }
        let mut client = ServerReflectionClient::new(channel($mux).await);
        let answers = client.server_reflection_info(request).await.unwrap();
        let answer = within("the services", answers.into_inner().message()).await;
        match answer.unwrap().unwrap().message_response.unwrap() {
            MessageResponse::ListServicesResponse(list) => {
                list.service.into_iter().map(|s| s.name).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        }
    }};
}

#[tokio::test]
async fn reflection_is_the_servers_own_without_an_id_and_the_backends_with_one() {
    let mux = Mux::start().await;
    let backend = Backend::echo().await;
    let _edge = Edge::start(&mux, "echo", backend.address).await;
    let ours = [reflected!(&mux, v1, None), reflected!(&mux, v1alpha, None)];
    for services in ours {
        assert!(
            services.iter().any(|name| name == DISCOVERY),
            "{services:?}"
        );
        assert!(services.iter().all(|name| name != ECHO), "{services:?}");
    }
    let backends = [
        reflected!(&mux, v1, Some("echo")),
        reflected!(&mux, v1alpha, Some("echo")),
    ];
    for services in backends {
        assert!(services.iter().any(|name| name == ECHO), "{services:?}");
        assert!(
            services.iter().all(|name| name != DISCOVERY),
            "{services:?}"
        );
    }
}
