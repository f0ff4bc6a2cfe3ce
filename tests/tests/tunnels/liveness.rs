//! A dead tunnel is noticed, and one that is only slow, full or paused is not taken for dead.

use std::time::Duration;

use grpc_multiplexer_tests::{Backend, Caller, Edge, Link, Mux, Process, Relay, within};
use tokio::time::Instant;

/// What both ends say of a tunnel that they begin to doubt.
const DOUBT: &str = "the tunnel owes a sign of life";
const TRUST: &str = "the tunnel shows signs of life again";

/// A server, an edge `rainbow` over a link, and a backend that answers once the request ended.
struct Linked {
    mux: Mux,
    edge: Edge,
    relay: Relay,
    backend: Backend,
}

async fn linked(server: &[&str], edge: &[&str]) -> Linked {
    // Credit that comes back seldom, so that little else shows that the edge is well.
    let mut settings = h2::server::Builder::new();
    settings
        .initial_window_size(4 << 20)
        .initial_connection_window_size(4 << 20);
    let backend = Backend::h2_with(&settings, |mut call| async move {
        call.read_all().await;
        call.ok(b"theirs").await;
    })
    .await;
    let mux = Mux::with(server).await;
    let relay = Relay::to(mux.multiplexer).await;
    let address = backend.address.to_string();
    let edge = Edge::dialling(relay.address, "rainbow", &address, edge);
    edge.says(" connected ").await;
    Linked {
        mux,
        edge,
        relay,
        backend,
    }
}

fn count(process: &Process, part: &str) -> usize {
    let log = process.log();
    log.iter().filter(|line| line.contains(part)).count()
}

const RAINBOW: &[(&str, &str)] = &[("client-id", "rainbow")];

#[tokio::test]
async fn an_idle_tunnel_that_falls_silent_is_closed_by_both_ends_in_the_time_they_were_given() {
    let timeout = ["--tunnel-timeout", "3s"];
    let path = linked(&timeout, &timeout).await;
    path.relay.set(Link::Held);
    let held = Instant::now();
    path.mux.says("edge disconnected").await;
    let noticed = held.elapsed();
    assert!(noticed < Duration::from_secs(3 + 5), "{noticed:?}");
    path.edge.says("tunnel lost").await;
    assert_eq!(count(&path.mux, DOUBT), 1);
    assert!(
        path.mux
            .log()
            .iter()
            .any(|line| line.contains("no sign of life for"))
    );
    path.relay.set(Link::Open);
    path.edge.says_times(" connected ", 2).await;
}

#[tokio::test]
async fn an_end_that_is_in_more_of_a_hurry_than_the_other_asks_more_often() {
    let path = linked(&[], &["--tunnel-timeout", "2s"]).await;
    path.relay.set(Link::Held);
    let held = Instant::now();
    path.edge.says("tunnel lost").await;
    let noticed = held.elapsed();
    assert!(noticed < Duration::from_secs(2 + 5), "{noticed:?}");
}

#[tokio::test]
async fn either_direction_alone_is_enough_to_be_noticed() {
    for forth in [true, false] {
        let timeout = ["--tunnel-timeout", "2s"];
        let path = linked(&timeout, &timeout).await;
        if forth {
            path.relay.set_forth(Link::Held);
        } else {
            path.relay.set_back(Link::Held);
        }
        path.mux.says("edge disconnected").await;
        path.edge.says("tunnel lost").await;
    }
}

#[tokio::test]
async fn under_traffic_a_silent_tunnel_gets_no_new_calls_within_seconds() {
    let path = linked(&[], &[]).await;
    let caller = Caller::connect(path.mux.proxy).await;
    caller.call("/s/m", RAINBOW, b"").await.is_backends(0);
    path.relay.set(Link::Held);
    let held = Instant::now();
    let lost = caller.start("/s/m", RAINBOW).await;
    path.mux.says(DOUBT).await;
    let noticed = held.elapsed();
    assert!(noticed < Duration::from_secs(3 + 5), "{noticed:?}");
    let next = caller.call("/s/m", RAINBOW, b"").await;
    assert_eq!(next.mux_error(), Some("edge-away"));
    drop(lost);
    // Long before it would be closed.
    path.relay.set(Link::Open);
    path.mux.says(TRUST).await;
    caller.call("/s/m", RAINBOW, b"").await.is_backends(0);
    assert_eq!(count(&path.edge, " connected "), 1);
}

#[tokio::test]
async fn an_edge_or_a_server_that_pauses_for_less_than_the_bound_loses_nothing() {
    let timeout = ["--tunnel-timeout", "10s"];
    let path = linked(&timeout, &timeout).await;
    let caller = Caller::connect(path.mux.proxy).await;
    let mut call = caller.start("/s/m", RAINBOW).await;
    path.backend.calls(1).await;
    path.edge.signal("STOP");
    call.data(b"while the edge is stopped", false).await;
    path.mux.says(DOUBT).await;
    path.edge.signal("CONT");
    path.mux.says(TRUST).await;
    path.mux.signal("STOP");
    // Its own question comes at the latest after half of the bound and a fifth.
    path.edge.says(DOUBT).await;
    path.mux.signal("CONT");
    path.edge.says(TRUST).await;
    call.data(b"and on", true).await;
    within("the call's answer", call.answer())
        .await
        .is_backends(0);
    assert_eq!(count(&path.mux, "edge disconnected"), 0);
    assert_eq!(count(&path.edge, "tunnel lost"), 0);
}

#[tokio::test]
async fn a_link_that_is_full_is_not_a_dead_one() {
    let path = linked(&[], &[]).await;
    let caller = Caller::connect(path.mux.proxy).await;
    caller.call("/s/m", RAINBOW, b"").await.is_backends(0);
    // Seconds of an upload are under way at any time, and heartbeats queue behind them.
    path.relay.set(Link::Slow(80_000));
    let answer = caller.call("/s/m", RAINBOW, &vec![0; 560_000]).await;
    answer.is_backends(0);
    for process in [&*path.mux, &*path.edge] {
        assert_eq!(count(process, DOUBT), 0, "{:?}", process.log());
    }
}

#[tokio::test]
async fn a_link_that_stops_while_it_is_full_is_noticed() {
    let timeout = ["--tunnel-timeout", "3s"];
    let path = linked(&timeout, &timeout).await;
    let caller = Caller::connect(path.mux.proxy).await;
    let mut call = caller.start("/s/m", RAINBOW).await;
    path.relay.set(Link::Slow(40_000));
    let upload = async {
        // Taken or not: the call ends with the tunnel.
        while call.try_data(&[0; 16_384], false).await {}
        call.answer().await
    };
    let stop = async {
        path.backend.calls(1).await;
        path.relay.set(Link::Held);
        path.mux.says("edge disconnected").await;
    };
    let (answer, ()) = within("the tunnel's end", futures::future::join(upload, stop)).await;
    answer.is_ours(
        14,
        "mux: tunnel to edge 'rainbow' lost",
        "tunnel-lost",
        "maybe",
    );
}
