//! A new process takes over from an old one under load: the operator starts it with the same options, and no call fails.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use grpc_multiplexer_examples::echo::EchoRequest;
use grpc_multiplexer_examples::echo::echo_service_client::EchoServiceClient;
use grpc_multiplexer_process::{HandoverSocket, Sockets, predecessor};
use grpc_multiplexer_server::PROGRAM;
use grpc_multiplexer_tests::{
    Backend, Edge, Folder, Mux, Process, ScriptedServer, ScriptedTunnel, until, within,
};
use grpc_multiplexer_tunnel::message::Code;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

const SERVER: &str = "grpc-multiplexer-server";

/// Far beyond what any word takes.
const LONG: Duration = Duration::from_secs(60);

/// Calls that tonic may fail of its own accord. Each of the three take-overs ends six connections that are in use.
const OWN_FAILURES: usize = 4;

/// Callers that call all the time, until they are asked how it went.
struct Load {
    callers: JoinSet<Vec<Status>>,
    done: Arc<AtomicUsize>,
    stop: CancellationToken,
}

impl Load {
    /// For each edge two callers on channels with default options, and one that connects anew for each call.
    fn start(proxy: SocketAddr, ids: &[&'static str]) -> Self {
        let mut load = Self {
            callers: JoinSet::new(),
            done: Arc::default(),
            stop: CancellationToken::new(),
        };
        for id in ids {
            for reconnects in [false, false, true] {
                let (done, stop) = (Arc::clone(&load.done), load.stop.clone());
                load.callers.spawn(call(proxy, id, reconnects, done, stop));
            }
        }
        load
    }

    /// Waits for so many further calls.
    async fn calls(&self, further: usize) {
        let wanted = self.done.load(Ordering::Relaxed) + further;
        until("calls to be made", async || {
            (self.done.load(Ordering::Relaxed) >= wanted).then_some(())
        })
        .await;
    }

    /// Ends, and sees that no call failed that left its caller. tonic fails calls of its own accord that it makes between
    /// the arrival of a connection's end and its own notice of it: with a machine as busy as that of tests some are.
    async fn none_failed(self) {
        self.stop.cancel();
        let all = within("callers to end", self.callers.join_all()).await;
        let failed = all.into_iter().flatten();
        let (own, failed): (Vec<_>, Vec<_>) = failed.partition(|status| {
            let source = std::error::Error::source(status);
            source.is_some_and(|source| source.is::<tonic::transport::Error>())
        });
        let calls = self.done.load(Ordering::Relaxed);
        assert!(failed.is_empty(), "of {calls} calls: {failed:?}");
        assert!(own.len() <= OWN_FAILURES, "of {calls} calls: {own:?}");
    }
}

/// Makes one call after the other, 200 in a second at most; or 20, each on a connection of its own.
async fn call(
    proxy: SocketAddr,
    id: &'static str,
    reconnects: bool,
    done: Arc<AtomicUsize>,
    stop: CancellationToken,
) -> Vec<Status> {
    let endpoint = Endpoint::from_shared(format!("http://{proxy}")).unwrap();
    let mut channel = endpoint.connect_lazy();
    let mut failed = Vec::new();
    let mut pace = interval(Duration::from_millis(if reconnects { 50 } else { 5 }));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(pace.tick()).await.is_some() {
        if reconnects {
            channel = endpoint.connect_lazy();
        }
        failed.extend(one_call(channel.clone(), id).await.err());
        done.fetch_add(1, Ordering::Relaxed);
    }
    failed
}

async fn one_call(channel: Channel, id: &str) -> Result<(), Status> {
    let mut request = Request::new(EchoRequest {
        text: id.to_owned(),
        ..EchoRequest::default()
    });
    let metadata = request.metadata_mut();
    metadata.insert("client-id", id.parse().unwrap());
    let answer = EchoServiceClient::new(channel).echo(request).await?;
    if answer.get_ref().text == id {
        Ok(())
    } else {
        Err(Status::data_loss("another answer"))
    }
}

/// A server that hands over at a path in `folder`.
async fn server(folder: &Folder, at: Option<&Mux>, args: &[&str]) -> Mux {
    let socket = folder.0.join("server").display().to_string();
    let addresses = at.map_or_else(
        || ["127.0.0.1:0".to_owned(), "127.0.0.1:0".to_owned()],
        |mux| [mux.proxy.to_string(), mux.multiplexer.to_string()],
    );
    let quiet = ["--upgrade-socket", &socket, "--log-level", "info"];
    Mux::at(&addresses[0], &addresses[1], &[&quiet, args].concat()).await
}

/// The first server, once it can be taken over from.
async fn first_server(folder: &Folder) -> Mux {
    let mux = server(folder, None, &[]).await;
    mux.says("a new process may take over").await;
    mux
}

async fn listed(mux: &Mux, ids: &[&str]) {
    until("edges to be listed", async || {
        (mux.listed().await == ids).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_server_takes_over_under_load_without_a_failed_call() {
    let folder = Folder::new("upgrade-server");
    let mut old = first_server(&folder).await;
    let backend = Backend::echo().await;
    let ids = ["a", "b", "c"];
    let quiet = ["--log-level", "info"];
    let edges =
        ids.map(|id| Edge::dialling(old.multiplexer, id, &backend.address.to_string(), &quiet));
    listed(&old, &ids).await;
    let load = Load::start(old.proxy, &ids);
    load.calls(300).await;
    for round in 1..=3 {
        let new = server(&folder, Some(&old), &[]).await;
        new.says("took over from the process before").await;
        let over = new.says("the edges are over").await;
        assert!(over.contains("edges=3 missing=0"), "{over}");
        assert_eq!((new.proxy, new.multiplexer), (old.proxy, old.multiplexer));
        assert_eq!(old.ended().await.code(), Some(0));
        let stopped = old.says("stopped").await;
        assert!(stopped.contains("calls=0 streams=0 tunnels=0"), "{stopped}");
        assert_eq!(new.listed().await, ids);
        load.calls(300).await;
        for edge in &edges {
            edge.says_times("old tunnel closed", round).await;
        }
        old = new;
    }
    load.none_failed().await;
    for edge in edges {
        edge.never_said("tunnel lost");
    }
}

#[tokio::test]
async fn a_new_server_that_cannot_start_leaves_everything_to_the_old_one() {
    let folder = Folder::new("upgrade-fails");
    let old = first_server(&folder).await;
    let backend = Backend::echo().await;
    let _edge = Edge::start(&old, "a", backend.address).await;
    let load = Load::start(old.proxy, &["a"]);
    load.calls(20).await;
    // It gets the sockets, and then has no place for its admin listener.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = folder.0.join("server").display().to_string();
    let mut new = Process::start(
        SERVER,
        &[
            "--upgrade-socket",
            &socket,
            "--admin-listener",
            &taken.local_addr().unwrap().to_string(),
        ],
    );
    assert_eq!(new.ended().await.code(), Some(1));
    old.says("not handed over, this process goes on").await;
    load.calls(20).await;
    load.none_failed().await;
    // And the next one may come.
    let mut old = old;
    let new = server(&folder, Some(&old), &[]).await;
    new.says("took over from the process before").await;
    assert_eq!(old.ended().await.code(), Some(0));
}

/// The test plays a new process that stops half-way.
async fn half_a_process(folder: &Folder, says: &[&str]) -> UnixStream {
    let stream = UnixStream::connect(folder.0.join("server")).await.unwrap();
    for line in says {
        let line = format!("{line}\n");
        let mut rest = line.as_bytes();
        while !rest.is_empty() {
            stream.writable().await.unwrap();
            if let Ok(n) = stream.try_write(rest) {
                rest = &rest[n..];
            }
        }
    }
    stream
}

#[tokio::test]
async fn a_new_server_that_dies_half_way_leaves_its_edges_to_the_old_one() {
    let folder = Folder::new("upgrade-half");
    let old = first_server(&folder).await;
    let backend = Backend::echo().await;
    let edge = Edge::start(&old, "a", backend.address).await;
    let load = Load::start(old.proxy, &["a"]);
    load.calls(20).await;
    let greeting = "grpc-multiplexer-upgrade 1 grpc-multiplexer-server 0";
    let half = half_a_process(&folder, &[greeting, "sockets", "edges"]).await;
    // Sent away, the edge finds nobody who accepts, and its old tunnel goes on.
    edge.says("the server asks for another tunnel").await;
    load.calls(20).await;
    drop(half);
    old.says("not handed over, this process goes on").await;
    edge.says_times(" connected ", 2).await;
    load.calls(20).await;
    load.none_failed().await;
}

#[tokio::test]
async fn a_new_server_that_dies_with_its_edges_leaves_them_to_the_old_one() {
    let folder = Folder::new("upgrade-dies");
    let old = first_server(&folder).await;
    let backend = Backend::echo().await;
    let edge = Edge::start(&old, "a", backend.address).await;
    let load = Load::start(old.proxy, &["a"]);
    load.calls(20).await;
    // A tunnel without a call would end, and leave the id to whoever comes.
    let channel = format!("http://{}", old.proxy);
    let channel = Endpoint::from_shared(channel).unwrap().connect_lazy();
    let (_open, words) = mpsc::channel(1);
    let mut stream = Request::new(ReceiverStream::new(words));
    let id = "a".parse().unwrap();
    stream.metadata_mut().insert("client-id", id);
    let mut client = EchoServiceClient::new(channel);
    let lasting = client.bidi_stream(stream).await.unwrap();
    // The test plays a new process, which gives the edge a proof that the old one has never seen.
    let met = predecessor(&folder.0.join("server"), &PROGRAM).await;
    let mut link = met.unwrap().unwrap();
    let mut left = link.take_sockets().await.unwrap();
    let edges = old.multiplexer.into();
    left.bind("multiplexer", &edges).await.unwrap();
    let new = ScriptedServer::on(left.listeners("multiplexer").unwrap().remove(0));
    link.say("edges").await.unwrap();
    let tunnel = new.take(b"of the new one").await;
    edge.says_times(" connected ", 2).await;
    drop((tunnel, new, left, link));
    old.says("not handed over, this process goes on").await;
    edge.says_times(" connected client_id=", 3).await;
    drop(lasting);
    load.calls(20).await;
    load.none_failed().await;
}

#[tokio::test]
async fn who_is_no_new_server_is_told_so() {
    let folder = Folder::new("upgrade-strangers");
    let old = first_server(&folder).await;
    for greeting in [
        "grpc-multiplexer-upgrade 2 grpc-multiplexer-server 9",
        "grpc-multiplexer-upgrade 1 grpc-multiplexer-client 0",
        "hello",
    ] {
        let stranger = half_a_process(&folder, &[greeting]).await;
        let mut said = Vec::new();
        until("an answer", async || {
            let mut chunk = [0; 1024];
            if let Ok(n) = stranger.try_read(&mut chunk) {
                said.extend_from_slice(&chunk[..n]);
            }
            said.ends_with(b"\n").then_some(())
        })
        .await;
        let said = String::from_utf8(said).unwrap();
        let wanted = format!(
            "no this process hands over to `grpc-multiplexer-upgrade 1 grpc-multiplexer-server`, and not to `{greeting}`\n"
        );
        assert_eq!(said, wanted);
    }
    old.says_times("no successor", 3).await;
    let new = server(&folder, Some(&old), &[]).await;
    new.says("took over from the process before").await;
}

#[tokio::test]
async fn the_socket_is_this_users_alone_and_goes_with_the_process() {
    let folder = Folder::new("upgrade-mode");
    let path = folder.0.join("server");
    let mut mux = first_server(&folder).await;
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    mux.signal("TERM");
    assert_eq!(mux.ended().await.code(), Some(0));
    assert!(!path.exists());
    // One that was left behind by a process that was killed is no hindrance.
    drop(UnixListener::bind(&path).unwrap());
    first_server(&folder).await;
}

#[tokio::test]
async fn what_is_no_socket_of_ours_is_left_alone_and_named() {
    let folder = Folder::new("upgrade-file");
    let path = folder.0.join("server");
    std::fs::write(&path, "precious").unwrap();
    let socket = path.display().to_string();
    let mut process = Process::start(
        SERVER,
        &[
            "--upgrade-socket",
            &socket,
            "--proxy-listener",
            "127.0.0.1:0",
        ],
    );
    assert_eq!(process.ended().await.code(), Some(1));
    let said = process.says("is not a socket of this user's").await;
    assert!(said.contains(&socket), "{said}");
    assert!(said.contains("it is another kind of file"), "{said}");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[tokio::test]
async fn a_new_server_that_cannot_be_met_in_turn_serves_all_the_same() {
    let folder = Folder::new("upgrade-unmet");
    let path = folder.0.join("server");
    // The test plays the old process.
    let old = HandoverSocket::bind(&path).unwrap();
    let hand_over = async {
        let mut new = old.successor(&PROGRAM).await;
        new.give_sockets(&Sockets::default()).await.unwrap();
        new.expect("edges", LONG).await.unwrap();
        new.say("all").await.unwrap();
        new.expect("callers", LONG).await.unwrap();
        // It listens there once it has them.
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "precious").unwrap();
        new.say("all").await.unwrap();
        new.expect("done", LONG).await.unwrap();
    };
    let (new, ()) = tokio::join!(server(&folder, None, &[]), hand_over);
    let said = new.says("no new process can take over from this one").await;
    assert!(said.contains("it is another kind of file"), "{said}");
    assert_eq!(new.listed().await, Vec::<String>::new());
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[tokio::test]
async fn an_old_server_that_does_not_answer_is_named_and_stays() {
    let folder = Folder::new("upgrade-silent");
    let old = first_server(&folder).await;
    old.signal("STOP");
    let socket = folder.0.join("server").display().to_string();
    let mut new = Process::start(SERVER, &["--upgrade-socket", &socket]);
    assert_eq!(new.ended().await.code(), Some(1));
    new.says("the other process does not answer within 5s")
        .await;
    old.signal("CONT");
    assert_eq!(old.listed().await, Vec::<String>::new());
}

/// An edge `a` that hands over at a path in `folder`.
fn edge(folder: &Folder, server: SocketAddr, backend: &str, args: &[&str]) -> Edge {
    let socket = folder.0.join("edge").display().to_string();
    let all = [&["--upgrade-socket", &socket], args].concat();
    Edge::dialling(server, "a", backend, &all)
}

#[tokio::test]
async fn a_new_edge_is_the_same_to_the_server_and_the_old_one_ends() {
    let folder = Folder::new("upgrade-edge");
    let server = ScriptedServer::start().await;
    let slots = ["--tunnels", "2"];
    let mut old = edge(&folder, server.address, "127.0.0.1:1", &slots);
    let before = [server.take(b"one").await, server.take(b"two").await];
    old.says_times(" connected ", 2).await;
    old.says("a new process may take over").await;
    let new = edge(&folder, server.address, "127.0.0.1:1", &slots);
    let mut after = [server.take(b"three").await, server.take(b"four").await];
    after.sort_by_key(|tunnel| tunnel.hello.tunnel_slot);
    for (tunnel, slot) in after.iter().zip(0..) {
        assert_eq!(tunnel.hello.tunnel_slot, slot);
        assert_eq!(tunnel.hello.instance_id, before[0].hello.instance_id);
        assert!(!tunnel.hello.resume_token.is_empty());
    }
    new.says("took over from the process before").await;
    // The old one finishes its calls, and dials no more.
    for tunnel in &before {
        within("the old edge to drain", tunnel.session.peer_drains()).await;
        tunnel.session.close(Code::Ok, "drained");
    }
    assert_eq!(old.ended().await.code(), Some(0));
    new.says("a new process may take over").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_edge_takes_over_under_load_without_a_failed_call() {
    let folder = Folder::new("upgrade-edge-load");
    let mux = Mux::with(&["--log-level", "info"]).await;
    let backend = Backend::echo().await;
    let backend = backend.address.to_string();
    for tunnels in ["1", "3"] {
        let options = ["--log-level", "info", "--tunnels", tunnels];
        let mut old = edge(&folder, mux.multiplexer, &backend, &options);
        old.says("a new process may take over").await;
        listed(&mux, &["a"]).await;
        let load = Load::start(mux.proxy, &["a"]);
        load.calls(100).await;
        for _ in 0..3 {
            let new = edge(&folder, mux.multiplexer, &backend, &options);
            new.says("took over from the process before").await;
            assert_eq!(old.ended().await.code(), Some(0));
            load.calls(100).await;
            new.says("a new process may take over").await;
            old = new;
        }
        load.none_failed().await;
        old.signal("TERM");
        assert_eq!(old.ended().await.code(), Some(0));
    }
}

#[tokio::test]
async fn an_edge_whose_successor_ends_before_it_has_a_tunnel_goes_on() {
    let folder = Folder::new("upgrade-edge-fails");
    let server = ScriptedServer::start().await;
    let old = edge(&folder, server.address, "127.0.0.1:1", &[]);
    let before = server.take(b"one").await;
    old.says(" connected ").await;
    old.says("a new process may take over").await;
    let nobody = "127.0.0.1:1".parse().unwrap();
    let mut new = edge(&folder, nobody, "127.0.0.1:1", &[]);
    new.says("no tunnel").await;
    new.kill().await;
    old.says("not handed over, this process goes on").await;
    assert!(!before.session.is_closed());
    // It dials again, as the same.
    drop(before);
    assert_eq!(server.take(b"two").await.hello.resume_token, b"one");
}

#[tokio::test]
async fn an_edge_without_a_name_hands_its_name_over() {
    let folder = Folder::new("upgrade-edge-name");
    let server = ScriptedServer::start().await;
    let socket = folder.0.join("edge").display().to_string();
    let address = server.address.to_string();
    let nameless = [
        "--upgrade-socket",
        &socket,
        "--multiplexer-address",
        &address,
    ];
    let old = Process::start("grpc-multiplexer-client", &nameless);
    let before = server.take(b"one").await;
    old.says(" connected ").await;
    old.says("a new process may take over").await;
    let _new = Process::start("grpc-multiplexer-client", &nameless);
    let after = server.take(b"two").await;
    let name = |tunnel: &ScriptedTunnel| tunnel.hello.endpoints[0].client_id.clone();
    assert_eq!(name(&after), name(&before));
}
