//! The path works end to end, over real processes.

use grpc_multiplexer_tests::{Backend, Caller, Edge, Ended, Mux};

#[tokio::test]
async fn an_unknown_edge_is_not_found() {
    let mux = Mux::start().await;
    let caller = Caller::connect(mux.proxy).await;
    let answer = caller.call("/s/m", &[("client-id", "nobody")], b"").await;
    answer.is_ours(5, "Client 'nobody' not registered", "unknown-edge", "no");
    assert!(answer.trailers_only);
}

#[tokio::test]
async fn a_call_reaches_the_backend_unmodified_and_its_answer_comes_back() {
    let mux = Mux::start().await;
    let backend = Backend::pong().await;
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let caller = Caller::connect(mux.proxy).await;
    let metadata = [
        ("client-id", "rainbow"),
        ("k-bin", "AAEC"),
        ("repeated", "1"),
        ("repeated", "2"),
        ("x-mux-forged", "1"),
    ];
    let answer = caller.call("/pkg.Service/Method", &metadata, b"ping").await;
    assert_eq!(answer.code(), Some(0), "{answer:?}");
    assert_eq!(answer.body, b"pong");
    let said = mux.says("call complete").await;
    assert!(said.contains("client_id=rainbow"), "{said}");
    let seen = backend.seen().remove(0);
    assert_eq!(seen.path, "/pkg.Service/Method");
    assert_eq!(seen.origin, format!("http://{}", backend.address));
    assert_eq!(seen.body, b"ping");
    assert_eq!(seen.ended, Some(Ended::Cleanly));
    assert_eq!(seen.headers["k-bin"], "AAEC");
    let repeated: Vec<_> = seen.headers.get_all("repeated").iter().collect();
    assert_eq!(repeated, ["1", "2"]);
    assert!(!seen.headers.contains_key("client-id"));
    assert!(!seen.headers.contains_key("x-mux-forged"));
}

#[tokio::test]
async fn the_edge_is_listed_while_its_tunnel_is_up() {
    let mux = Mux::start().await;
    assert_eq!(mux.listed().await, Vec::<String>::new());
    // Nobody listens at the backend's address: the edge is listed whatever its backend does.
    let _b = Edge::start(&mux, "b", "127.0.0.1:1".parse().unwrap()).await;
    let _a = Edge::start(&mux, "a", "127.0.0.1:1".parse().unwrap()).await;
    assert_eq!(mux.listed().await, ["a", "b"]);
}

/// Their tunnels and callers are spread over the threads, so that most calls pass from one to another.
#[tokio::test]
async fn calls_pass_between_threads() {
    let mux = Mux::with(&["--threads", "3"]).await;
    let backend = Backend::pong().await;
    let ids = ["a", "b", "c", "d"];
    let mut edges = Vec::new();
    for id in ids {
        edges.push(Edge::start(&mux, id, backend.address).await);
    }
    for _ in 0..5 {
        let caller = Caller::connect(mux.proxy).await;
        for id in ids.iter().cycle().take(20) {
            let answer = caller.call("/s/m", &[("client-id", id)], b"ping").await;
            assert_eq!((answer.code(), &*answer.body), (Some(0), &b"pong"[..]));
        }
    }
    assert_eq!(backend.seen().len(), 100);
    let threads = std::fs::read_dir(format!("/proc/{}/task", mux.pid())).unwrap();
    let names = threads
        .filter_map(|thread| std::fs::read_to_string(thread.unwrap().path().join("comm")).ok());
    assert_eq!(names.filter(|name| name.starts_with("worker-")).count(), 3);
}
