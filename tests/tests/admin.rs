//! What operators see: whether a process lives, whether it should get calls, and what it counts.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

use std::net::{SocketAddr, TcpListener};

use grpc_multiplexer_tests::{
    Backend, Caller, Edge, Mux, Path, Process, command, free, metric, page, until,
};
use h2::Reason;

/// Waits until a page has a status, and gives its text.
async fn page_says(admin: SocketAddr, path: &str, status: u16) -> String {
    until(&format!("{path} answers {status}"), async || {
        let (now, text) = page(admin, path).await;
        (now == status).then_some(text)
    })
    .await
}

async fn becomes(admin: SocketAddr, series: &str, value: f64) {
    until(&format!("{series} is {value}"), async || {
        (metric(admin, series).await == value).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_server_that_drains_lives_and_is_not_ready() {
    let backend = Backend::h2(|mut call| async move { call.read_all().await }).await;
    let path = Path::to(&backend).await;
    let admin = path.mux.admin;
    assert_eq!(page(admin, "/readyz").await, (200, "ready\n".to_owned()));
    let call = path.start(&[]).await;
    backend.calls(1).await;
    path.mux.signal("TERM");
    let said = page_says(admin, "/readyz", 503).await;
    assert_eq!(said, "not ready: draining\n");
    assert_eq!(page(admin, "/livez").await, (200, "alive\n".to_owned()));
    becomes(admin, "calls_in_flight", 1.0).await;
    drop(call);
}

#[tokio::test]
async fn calls_are_counted_by_how_they_end() {
    let backend = Backend::h2(|mut call| async move {
        if call.request.headers().contains_key("wait") {
            return call.wait_reset().await;
        }
        call.read_all().await;
        let aborted = call.request.headers().contains_key("abort");
        if aborted {
            call.respond(&[("grpc-status", "10")], true);
        } else {
            call.ok(b"theirs").await;
        }
    })
    .await;
    let path = Path::to(&backend).await;
    let admin = path.mux.admin;
    let series = [
        r#"calls_total{code="OK",origin="backend"}"#,
        r#"calls_total{code="ABORTED",origin="backend"}"#,
        r#"calls_total{code="CANCELLED",origin="caller"}"#,
        r#"calls_total{code="NOT_FOUND",origin="server"}"#,
        r#"failures_total{reason="unknown-edge"}"#,
        "call_duration_seconds_count",
    ];
    for series in series {
        assert_eq!(metric(admin, series).await, 0.0, "{series}");
    }
    path.ask(&[]).await.answer().await.is_backends(0);
    path.ask(&[("abort", "")])
        .await
        .answer()
        .await
        .is_backends(10);
    let mut waiting = path.ask(&[("wait", "")]).await;
    backend.calls(3).await;
    becomes(admin, "calls_in_flight", 1.0).await;
    waiting.reset(Reason::CANCEL);
    let unknown = path
        .caller
        .call("/s/m", &[("client-id", "nobody")], b"")
        .await;
    assert_eq!(unknown.mux_error(), Some("unknown-edge"));
    for (series, value) in series.iter().zip([1.0, 1.0, 1.0, 1.0, 1.0, 4.0]) {
        becomes(admin, series, value).await;
    }
    becomes(admin, "calls_in_flight", 0.0).await;
    assert_eq!(metric(admin, "caller_connections").await, 1.0);
    drop(path.caller);
    becomes(admin, "caller_connections", 0.0).await;
}

#[tokio::test]
async fn edges_are_counted_as_they_come_and_go() {
    let mux = Mux::start().await;
    let backend = Backend::echo().await;
    let admin = mux.admin;
    let mut edge = Edge::start(&mux, "rainbow", backend.address).await;
    assert_eq!(metric(admin, "tunnels").await, 1.0);
    let answer = Caller::connect(mux.proxy)
        .await
        .call("/s/m", &[("client-id", "rainbow")], b"")
        .await;
    answer.is_backends(12);
    assert_eq!(metric(admin, "tunnel_streams").await, 1.0);
    let twin = Edge::dialling(mux.multiplexer, "rainbow", "127.0.0.1:1", &[]);
    twin.says("refused by the server").await;
    edge.kill().await;
    becomes(admin, "tunnels", 0.0).await;
    becomes(admin, r#"handshakes_total{result="welcome"}"#, 1.0).await;
    until("a refusal to be counted", async || {
        let refused = metric(admin, r#"handshakes_total{result="refused"}"#).await;
        (refused >= 1.0).then_some(())
    })
    .await;
    let version = concat!(
        r#"build_info{version=""#,
        env!("CARGO_PKG_VERSION"),
        r#""}"#
    );
    assert_eq!(metric(admin, version).await, 1.0);
}

#[tokio::test]
async fn an_edge_is_ready_while_a_tunnel_is_up() {
    let backend = Backend::h2(|mut call| async move {
        call.read_all().await;
        call.ok(b"").await;
    })
    .await;
    let mut mux = Mux::start().await;
    let [admin] = free();
    let address = admin.to_string();
    let edge = Edge::dialling(
        mux.multiplexer,
        "rainbow",
        &backend.address.to_string(),
        &["--admin-listener", &address],
    );
    edge.says(" connected ").await;
    assert_eq!(page(admin, "/readyz").await.0, 200);
    let caller = Caller::connect(mux.proxy).await;
    let answer = caller.call("/s/m", &[("client-id", "rainbow")], b"").await;
    answer.is_backends(0);
    assert_eq!(metric(admin, "tunnels").await, 1.0);
    assert_eq!(metric(admin, "tunnel_streams").await, 1.0);
    assert_eq!(
        metric(admin, r#"backend_dials_total{result="ok"}"#).await,
        1.0
    );
    mux.kill().await;
    let said = page_says(admin, "/readyz", 503).await;
    assert_eq!(said, "not ready: no tunnel to a server is up\n");
    becomes(admin, "tunnels", 0.0).await;
    until("a failed try is counted", async || {
        let failed = metric(admin, r#"handshakes_total{result="failed"}"#).await;
        (failed >= 1.0).then_some(())
    })
    .await;
    edge.signal("TERM");
}

#[tokio::test]
async fn an_address_in_use_is_fatal_only_when_it_was_chosen() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    let mut server = command("grpc-multiplexer-server");
    server.args([
        "--proxy-listener=127.0.0.1:0",
        "--multiplexer-listener=127.0.0.1:0",
    ]);
    server.args(["--admin-listener", &taken]);
    let mut process = Process::of(server);
    process.says("the address is in use").await;
    process.says("--admin-listener").await;
    assert_eq!(process.ended().await.code(), Some(1));
}
