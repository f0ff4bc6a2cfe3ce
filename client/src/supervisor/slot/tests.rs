//! When a next try may come soon, on tunnels in memory and a paused clock.

use grpc_multiplexer_tunnel::message::{Hello, Welcome, open::Kind};
use grpc_multiplexer_tunnel::{
    Arrival, BoxedIo, Established, TunnelConfig, accept, dial, dial_legacy,
};
use tokio::io::{AsyncWriteExt as _, duplex};

use super::super::tunnel::OPEN_TIMEOUT;
use super::*;
use crate::dial::ENDPOINT;

/// The edge's end of a tunnel whose server has opened a stream, and the work behind both.
async fn edge(edge: impl AsyncFnOnce(BoxedIo) -> Established) -> (Session, JoinSet<()>) {
    let (near, far) = duplex(64 * 1024);
    let config = TunnelConfig::default();
    let mut tasks = JoinSet::new();
    let server = async {
        let established = match accept(Box::new(near), &config).await.unwrap() {
            Arrival::Hello(edge) => edge.welcome(Welcome::default()).await.unwrap(),
            Arrival::Legacy(edge) => edge.take(&config),
        };
        tasks.spawn(async move { drop(established.task.run().await) });
        established.session
    };
    let (server, mut edge) = tokio::join!(server, edge(Box::new(far)));
    tasks.spawn(async move { drop(edge.task.run().await) });
    let take = async {
        let stream = edge.incoming.next().await.unwrap();
        let pending = stream.read_open(OPEN_TIMEOUT).await.unwrap();
        pending.accept().await.unwrap()
    };
    let open = async {
        let stream = server.open(Kind::H2, ENDPOINT, OPEN_TIMEOUT).await;
        let mut stream = stream.unwrap();
        // yamux announces a stream with its first bytes.
        stream.write_all(b"x").await.unwrap();
        stream
    };
    drop(tokio::join!(open, take));
    (edge.session, tasks)
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_of_the_originals_wire_must_live_for_a_while() {
    let (config, id) = (TunnelConfig::default(), "rainbow".parse().unwrap());
    let line = async |io| dial_legacy(io, &id, &config).await.unwrap();
    let (session, _tasks) = edge(line).await;
    let start = Instant::now();
    steady(&session).await;
    assert_eq!(start.elapsed().as_secs(), STEADY.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_is_steady_once_a_heartbeat_was_answered() {
    let config = TunnelConfig::default();
    let hello = async |io| dial(io, Hello::default(), &config).await.unwrap().0;
    let (session, _tasks) = edge(hello).await;
    let start = Instant::now();
    steady(&session).await;
    assert_eq!(start.elapsed().as_secs(), 0);
}
