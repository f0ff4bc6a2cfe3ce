//! Processes come and go: edges, servers, backends, and the signals that end them.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use grpc_multiplexer_tests::{Backend, Caller, Edge, Ended, Folder, Mux, Process, until, within};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

const EDGE: &str = "grpc-multiplexer-client";

/// A backend that answers every call with `name`.
async fn named(name: &'static str) -> Backend {
    Backend::h2(move |mut call| async move {
        call.read_all().await;
        call.ok(name.as_bytes()).await;
    })
    .await
}

/// A backend that answers headers at once and the rest when the semaphore gives a permit.
async fn waiting() -> (Backend, Arc<Semaphore>) {
    let go = Arc::new(Semaphore::new(0));
    let permits = Arc::clone(&go);
    let backend = Backend::h2(move |mut call| {
        let go = Arc::clone(&permits);
        async move {
            call.headers();
            let Ok(permit) = go.acquire().await else {
                return;
            };
            permit.forget();
            call.read_all().await;
            call.data(b"done").await;
            call.trailers(&[("grpc-status", "0")]);
        }
    })
    .await;
    (backend, go)
}

async fn whose(caller: &Caller, id: &str) -> Result<String, String> {
    let answer = caller.call("/s/m", &[("client-id", id)], b"").await;
    match answer.code() {
        Some(0) => Ok(String::from_utf8(answer.body).unwrap()),
        _ => Err(answer.message().to_owned()),
    }
}

/// Waits until exactly these are listed, and says how long that took.
async fn listed(mux: &Mux, wanted: &[&str]) -> Duration {
    let start = Instant::now();
    until(&format!("{wanted:?} to be listed"), async || {
        (mux.listed().await == wanted).then_some(())
    })
    .await;
    start.elapsed()
}

/// Relays what `accept` gives to a backend, for what scripted backends are not: TLS, Unix sockets, ports that come
/// back. Stops when dropped.
struct Relay(JoinSet<()>);

impl Relay {
    fn start<S, F>(backend: SocketAddr, accept: impl Fn() -> F + Send + 'static) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = Option<S>> + Send,
    {
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Some(mut front) = accept().await else {
                    continue;
                };
                connections.spawn(async move {
                    let mut back = TcpStream::connect(backend).await.unwrap();
                    // However it ends, it ends.
                    let _ = copy_bidirectional(&mut front, &mut back).await;
                });
            }
        });
        Self(tasks)
    }

    async fn tcp(address: &str, backend: SocketAddr) -> (Self, SocketAddr) {
        let listener = Arc::new(TcpListener::bind(address).await.unwrap());
        let address = listener.local_addr().unwrap();
        let accept = move || {
            let listener = Arc::clone(&listener);
            async move { Some(listener.accept().await.ok()?.0) }
        };
        (Self::start(backend, accept), address)
    }

    async fn stop(mut self) {
        self.0.shutdown().await;
    }
}

#[tokio::test]
async fn a_killed_edge_is_gone_within_2_s_and_back_within_5_s_of_its_restart() {
    let mux = Mux::start().await;
    let backend = named("x").await;
    let mut edge = Edge::start(&mux, "a", backend.address).await;
    assert_eq!(mux.listed().await, ["a"]);
    edge.kill().await;
    let gone = listed(&mux, &[]).await;
    assert!(gone < Duration::from_secs(2), "{gone:?}");
    let restarted = Edge::dialling(mux.multiplexer, "a", &backend.address.to_string(), &[]);
    let back = listed(&mux, &["a"]).await;
    assert!(back < Duration::from_secs(5), "{back:?}");
    let caller = Caller::connect(mux.proxy).await;
    assert_eq!(whose(&caller, "a").await, Ok("x".to_owned()));
    drop(restarted);
}

#[tokio::test]
async fn a_killed_server_has_all_its_edges_back_within_5_s_of_listening() {
    let mut mux = Mux::lasting(&[]).await;
    let backend = named("x").await;
    let ids: Vec<_> = (10..30).map(|n| format!("edge-{n}")).collect();
    let address = backend.address.to_string();
    let edges: Vec<_> = ids
        .iter()
        .map(|id| Edge::dialling(mux.multiplexer, id, &address, &[]))
        .collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    listed(&mux, &ids).await;
    mux.kill().await;
    // Long enough that they wait between two dials.
    join_all(edges.iter().map(|edge| edge.says_times(" no tunnel ", 3))).await;
    let mux = mux.again(&[]).await;
    let back = listed(&mux, &ids).await;
    assert!(back < Duration::from_secs(5), "{back:?}");
    let caller = Caller::connect(mux.proxy).await;
    for id in ids {
        assert_eq!(whose(&caller, id).await, Ok("x".to_owned()));
    }
}

#[tokio::test]
async fn the_first_redial_comes_within_a_quarter_of_a_second() {
    let mut mux = Mux::start().await;
    let edge = Edge::start(&mux, "a", "127.0.0.1:1".parse().unwrap()).await;
    let address = mux.multiplexer;
    mux.kill().await;
    let line = edge.says(" dialling again ").await;
    let (_, after) = line.split_once("after=").unwrap();
    let number: f64 = after
        .trim_end_matches(|c: char| !c.is_ascii_digit())
        .parse()
        .unwrap();
    let seconds = match after.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.') {
        "ms" => number / 1e3,
        "µs" => number / 1e6,
        "ns" => number / 1e9,
        unit => panic!("{unit:?} in {line}"),
    };
    assert!(seconds <= 0.25, "{line}");
    // And dials it did.
    edge.says_times(" no tunnel ", 1).await;
    let listener = TcpListener::bind(address).await.unwrap();
    within("another dial", listener.accept()).await.unwrap();
}

#[tokio::test]
async fn an_edge_with_several_addresses_uses_the_next_when_one_is_down() {
    let mut first = Mux::start().await;
    let second = Mux::start().await;
    let backend = named("x").await;
    let further = [
        "--multiplexer-address",
        &first.multiplexer.to_string(),
        "--multiplexer-address",
        &second.multiplexer.to_string(),
    ];
    let nobody = "127.0.0.1:1".parse().unwrap();
    let edge = Edge::dialling(nobody, "a", &backend.address.to_string(), &further);
    listed(&first, &["a"]).await;
    assert_eq!(second.listed().await, Vec::<String>::new());
    first.kill().await;
    let moved = listed(&second, &["a"]).await;
    assert!(moved < Duration::from_secs(5), "{moved:?}");
    let caller = Caller::connect(second.proxy).await;
    assert_eq!(whose(&caller, "a").await, Ok("x".to_owned()));
    drop(edge);
}

#[tokio::test]
async fn an_id_belongs_to_the_first_edge_while_it_lives() {
    let mux = Mux::start().await;
    let (one, two) = (named("one").await, named("two").await);
    let mut first = Edge::start(&mux, "a", one.address).await;
    let second = Edge::dialling(mux.multiplexer, "a", &two.address.to_string(), &[]);
    let said = second.says("another edge is connected as 'a'").await;
    assert!(said.contains("client_id=a "), "{said}");
    mux.says("edge refused").await;
    let caller = Caller::connect(mux.proxy).await;
    assert_eq!(whose(&caller, "a").await, Ok("one".to_owned()));
    assert_eq!(mux.listed().await, ["a"]);
    first.kill().await;
    let start = Instant::now();
    second.says(" connected client_id=a ").await;
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(whose(&caller, "a").await, Ok("two".to_owned()));
}

#[tokio::test]
async fn an_edge_without_an_id_keeps_one_pet_name() {
    let mut mux = Mux::lasting(&[]).await;
    let server = mux.multiplexer.to_string();
    let edge = Process::start(EDGE, &["--multiplexer-address", &server]);
    let line = edge.says(" connected ").await;
    let shown = line.split("client_id=").nth(1).unwrap();
    let name = shown.split(' ').next().unwrap().to_owned();
    let words: Vec<_> = name.split('-').collect();
    assert_eq!(words.len(), 2, "{name}");
    for word in words {
        assert!(!word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()));
    }
    assert_eq!(mux.listed().await, [name.as_str()]);
    mux.kill().await;
    let mux = mux.again(&[]).await;
    listed(&mux, &[&name]).await;
    let other = Process::start(EDGE, &["--multiplexer-address", &server]);
    other.says(" connected ").await;
    assert_eq!(mux.listed().await.len(), 2, "two edges, two names");
}

#[tokio::test]
async fn a_backend_behind_a_unix_socket_is_reached() {
    let mux = Mux::start().await;
    let backend = named("unix").await;
    let folder = Folder::new("unix");
    let path = folder.0.join("backend");
    let listener = Arc::new(UnixListener::bind(&path).unwrap());
    let _relay = Relay::start(backend.address, move || {
        let listener = Arc::clone(&listener);
        async move { Some(listener.accept().await.ok()?.0) }
    });
    let edge = Edge::dialling(
        mux.multiplexer,
        "a",
        &format!("unix:{}", path.display()),
        &[],
    );
    edge.says(" connected ").await;
    let caller = Caller::connect(mux.proxy).await;
    assert_eq!(whose(&caller, "a").await, Ok("unix".to_owned()));
    assert_eq!(backend.seen()[0].origin, "http://localhost");
}

/// A TLS backend for `backend.test`, and the file of its authority.
async fn tls_backend(backend: SocketAddr, folder: &Folder) -> (Relay, SocketAddr, String) {
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["backend.test".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &authority).unwrap();
    let file = folder.0.join("ca.pem");
    std::fs::write(&file, authority.pem()).unwrap();

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
    let address = listener.local_addr().unwrap();
    let relay = Relay::start(backend, move || {
        let (listener, acceptor) = (Arc::clone(&listener), acceptor.clone());
        async move {
            let (socket, _) = listener.accept().await.ok()?;
            acceptor.accept(socket).await.ok()
        }
    });
    (relay, address, file.display().to_string())
}

#[tokio::test]
async fn a_tls_backend_is_reached_under_its_own_name_only() {
    let mux = Mux::start().await;
    let backend = named("tls").await;
    let folder = Folder::new("tls");
    let (_relay, address, ca) = tls_backend(backend.address, &folder).await;
    let https = format!("https://{address}");
    let trusting = |name| ["--backend-ca", &ca, "--backend-server-name", name].map(str::to_owned);
    let start = async |id: &str, args: &[&str]| {
        let edge = Edge::dialling(mux.multiplexer, id, &https, args);
        edge.says(" connected ").await;
        edge
    };
    let right = trusting("backend.test");
    let right = right.each_ref().map(String::as_str);
    let wrong = trusting("other.test");
    let wrong = wrong.each_ref().map(String::as_str);
    let right = start("right", &right).await;
    let wrong = start("wrong", &wrong).await;
    // The certificate is for no address.
    let unnamed = start("unnamed", &["--backend-ca", &ca]).await;
    let unknown_ca = start("unknown-ca", &["--backend-server-name", "backend.test"]).await;
    let caller = Caller::connect(mux.proxy).await;
    for id in ["wrong", "unnamed", "unknown-ca"] {
        let answer = caller.call("/s/m", &[("client-id", id)], b"").await;
        let text = format!("mux: backend of edge '{id}' unreachable (tls)");
        answer.is_ours(14, &text, "backend-connect", "no");
    }
    for edge in [wrong, unnamed, unknown_ca] {
        let line = edge.says("backend not reachable").await;
        let advice =
            "certificate is not trusted; see --backend-ca, --backend-crl and --backend-server-name";
        assert!(line.contains(advice), "{line}");
    }
    assert_eq!(backend.seen(), []);
    assert_eq!(whose(&caller, "right").await, Ok("tls".to_owned()));
    assert_eq!(backend.seen()[0].origin, https);
    right.says("backend takes connections").await;
}

#[tokio::test]
async fn a_backend_that_is_down_costs_no_tunnel_and_is_used_when_it_comes() {
    let mux = Mux::start().await;
    let backend = named("x").await;
    let (relay, address) = Relay::tcp("127.0.0.1:0", backend.address).await;
    relay.stop().await;
    let edge = Edge::start(&mux, "a", address).await;
    let caller = Caller::connect(mux.proxy).await;
    let fails = "mux: backend of edge 'a' unreachable (refused)";
    for outage in 1..=2 {
        for _ in 0..3 {
            assert_eq!(whose(&caller, "a").await, Err(fails.to_owned()));
        }
        edge.says_times("backend not reachable", outage).await;
        assert_eq!(mux.listed().await, ["a"]);
        let (relay, _) = Relay::tcp(&address.to_string(), backend.address).await;
        let start = Instant::now();
        until("a call to get through", async || {
            whose(&caller, "a").await.ok()
        })
        .await;
        let took = start.elapsed();
        assert!(took < Duration::from_secs(2), "{took:?}");
        edge.says_times("backend takes connections", outage).await;
        relay.stop().await;
        // What was connected learns it; the next call has to dial.
        mux.says_times("lane closed", outage).await;
    }
    assert_eq!(
        edge.log()
            .iter()
            .filter(|l| l.contains(" connected "))
            .count(),
        1
    );
}

#[tokio::test]
async fn a_server_that_is_asked_to_stop_finishes_its_calls() {
    for signal in ["TERM", "INT"] {
        let mut mux = Mux::start().await;
        let (backend, go) = waiting().await;
        let edge = Edge::start(&mux, "a", backend.address).await;
        let caller = Caller::connect(mux.proxy).await;
        let mut call = caller.start("/s/m", &[("client-id", "a")]).await;
        assert!(call.headers().await);
        mux.signal(signal);
        mux.says(&format!("signal=\"SIG{signal}\"")).await;
        edge.says("the server asks for another tunnel").await;
        until("the listener to be closed", async || {
            TcpStream::connect(mux.proxy).await.err()
        })
        .await;
        assert!(TcpStream::connect(mux.multiplexer).await.is_err());
        call.data(b"still here", true).await;
        go.add_permits(1);
        let answer = call.answer().await;
        assert_eq!(answer.code(), Some(0), "{answer:?}");
        assert_eq!(answer.body, b"done");
        assert_eq!(backend.seen()[0].body, b"still here");
        assert_eq!(caller.closed().await.map(|error| error.to_string()), None);
        assert_eq!(mux.ended().await.code(), Some(0));
        let line = mux.says("stopped").await;
        assert!(line.contains("calls=0 streams=0 tunnels=0"), "{line}");
        // The edge waits for the next server.
        edge.says("dialling again").await;
    }
}

#[tokio::test]
async fn an_edge_that_is_asked_to_stop_finishes_its_calls() {
    for signal in ["TERM", "INT"] {
        let mux = Mux::with(&["--reconnect-wait", "100ms"]).await;
        let (backend, go) = waiting().await;
        let mut edge = Edge::start(&mux, "a", backend.address).await;
        let caller = Caller::connect(mux.proxy).await;
        let mut call = caller.start("/s/m", &[("client-id", "a")]).await;
        call.data(b"before, ", false).await;
        assert!(call.headers().await);
        edge.signal(signal);
        listed(&mux, &[]).await;
        let refused = whose(&caller, "a").await;
        assert_eq!(refused, Err("mux: edge 'a' is not connected".to_owned()));
        call.data(b"after", true).await;
        go.add_permits(1);
        let answer = call.answer().await;
        assert_eq!(answer.code(), Some(0), "{answer:?}");
        assert_eq!(answer.body, b"done");
        assert_eq!(backend.seen()[0].body, b"before, after");
        assert_eq!(edge.ended().await.code(), Some(0));
        assert_eq!(backend.call_ended(0).await, Ended::Cleanly);
    }
}

#[tokio::test]
async fn who_has_nothing_to_finish_stops_at_once() {
    let mut mux = Mux::start().await;
    let mut edge = Edge::start(&mux, "a", "127.0.0.1:1".parse().unwrap()).await;
    let mut away = Edge::dialling("127.0.0.1:1".parse().unwrap(), "b", "127.0.0.1:1", &[]);
    away.says("no tunnel").await;
    let start = Instant::now();
    for process in [&mut *edge, &mut *away, &mut *mux] {
        process.signal("TERM");
        assert_eq!(process.ended().await.code(), Some(0));
    }
    let took = start.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
}

/// It would have keys and tokens in it.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_core_dump_is_left_of_a_crash() {
    // What is started has what its parent has.
    let limit = getrlimit(Resource::Core);
    let current = limit.maximum;
    setrlimit(Resource::Core, Rlimit { current, ..limit }).unwrap();
    let mux = Mux::start().await;
    let edge = Edge::start(&mux, "a", "127.0.0.1:1".parse().unwrap()).await;
    for pid in [mux.pid(), edge.pid()] {
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let core = limits.lines().find(|line| line.contains("core file size"));
        let words: Vec<_> = core.unwrap().split_ascii_whitespace().collect();
        // That which holds, and behind it how far it may be raised.
        assert_eq!(words[4], "0", "{words:?}");
    }
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let mut mux = Mux::start().await;
    let (backend, _go) = waiting().await;
    let mut edge = Edge::start(&mux, "a", backend.address).await;
    let caller = Caller::connect(mux.proxy).await;
    let mut call = caller.start("/s/m", &[("client-id", "a")]).await;
    assert!(call.headers().await);
    for (process, first, second) in [(&mut *edge, "TERM", "INT"), (&mut *mux, "INT", "TERM")] {
        process.signal(first);
        process.says("signal received, finishing").await;
        process.signal(second);
        let start = Instant::now();
        let status = process.ended().await;
        let took = start.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?}");
        assert!(!status.success(), "{status}");
        assert_ne!(status.code(), None, "it ended by itself: {status}");
    }
}

#[tokio::test]
async fn a_call_that_does_not_finish_is_cut_when_the_servers_drain_time_is_over() {
    let mut mux = Mux::with(&["--drain-timeout", "200ms"]).await;
    let (backend, _go) = waiting().await;
    let _edge = Edge::start(&mux, "a", backend.address).await;
    let caller = Caller::connect(mux.proxy).await;
    let mut call = caller.start("/s/m", &[("client-id", "a")]).await;
    assert!(call.headers().await);
    mux.signal("TERM");
    let answer = call.answer().await;
    answer.is_ours(14, "mux: server shutting down", "draining", "maybe");
    mux.ended().await;
    let line = mux.says("drain time is over, cutting calls").await;
    assert!(line.contains("calls=1"), "{line}");
    let line = mux.says("stopped").await;
    assert!(line.contains("calls=0 streams=0 tunnels=0"), "{line}");
}

#[tokio::test]
async fn a_call_that_does_not_finish_is_cut_when_the_edges_drain_time_is_over() {
    let mux = Mux::start().await;
    let (backend, _go) = waiting().await;
    let address = backend.address.to_string();
    let timeout = ["--drain-timeout", "200ms"];
    let mut edge = Edge::dialling(mux.multiplexer, "a", &address, &timeout);
    edge.says(" connected ").await;
    let caller = Caller::connect(mux.proxy).await;
    let mut call = caller.start("/s/m", &[("client-id", "a")]).await;
    assert!(call.headers().await);
    edge.signal("TERM");
    let answer = call.answer().await;
    answer.is_ours(14, "mux: tunnel to edge 'a' lost", "tunnel-lost", "maybe");
    edge.ended().await;
    edge.says("drain time is over, cutting calls").await;
}

#[tokio::test]
async fn a_backend_that_takes_few_streams_gets_several_connections() {
    let mux = Mux::start().await;
    let mut few = h2::server::Builder::new();
    let together = Arc::new(tokio::sync::Barrier::new(20));
    let backend = Backend::h2_with(few.max_concurrent_streams(2), move |mut call| {
        let together = Arc::clone(&together);
        async move {
            call.read_all().await;
            // Nobody is answered before all are here.
            together.wait().await;
            call.ok(b"").await;
        }
    })
    .await;
    let mut edge = Edge::start(&mux, "a", backend.address).await;
    let caller = Caller::connect(mux.proxy).await;
    let metadata = [("client-id", "a")];
    let calls = (0..20).map(|_| caller.call("/s/m", &metadata, b""));
    for answer in join_all(calls).await {
        assert_eq!(answer.code(), Some(0), "{answer:?}");
    }
    until("ten lanes", async || {
        (backend.connections() == 10).then_some(())
    })
    .await;
    // All of them close in order.
    edge.signal("TERM");
    assert_eq!(edge.ended().await.code(), Some(0));
}

#[tokio::test]
async fn edges_side_by_side_never_mix() {
    let mux = Mux::start().await;
    let names = ["red", "green", "blue", "white"];
    let backends = join_all(names.map(named)).await;
    let pairs = names.iter().zip(&backends);
    let edges = pairs.map(|(name, backend)| Edge::start(&mux, name, backend.address));
    let _edges = join_all(edges).await;
    let callers = join_all([(); 3].map(|()| Caller::connect(mux.proxy))).await;
    let calls = (0..400).map(|n| {
        let (caller, name) = (&callers[n % callers.len()], names[n % names.len()]);
        async move { assert_eq!(whose(caller, name).await, Ok(name.to_owned())) }
    });
    join_all(calls).await;
    for backend in backends {
        assert_eq!(backend.seen().len(), 100);
    }
}
