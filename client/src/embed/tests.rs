//! A stream of a real tunnel over a pipe in memory, with a server's word at the other end.

use std::time::Duration;

use grpc_multiplexer_tunnel::message::{Hello, Welcome, open::Kind};
use grpc_multiplexer_tunnel::{Arrival, Established, StreamEnd, TunnelConfig, accept, dial};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::task::JoinSet;

use super::*;
use crate::Backend;
use crate::backend::DialError;

const LIMIT: Duration = Duration::from_secs(20);

/// One stream: the server's end, ours, and the work behind the tunnel.
async fn stream() -> (TunnelStream, EdgeStream, JoinSet<()>) {
    let (near, far) = duplex(64 * 1024);
    let mut tasks = JoinSet::new();
    let (server, streams) = tokio::sync::oneshot::channel();
    tasks.spawn(async move {
        let arrival = accept(Box::new(near), &TunnelConfig::default()).await;
        let Ok(Arrival::Hello(accepted)) = arrival else {
            panic!("{arrival:?}");
        };
        let welcomed = accepted.welcome(Welcome::default()).await;
        let Established { session, task, .. } = welcomed.unwrap();
        let open = async { session.open(Kind::H2, 1, LIMIT).await.unwrap() };
        let (end, ()) = tokio::join!(task.run(), async { server.send(open.await).unwrap() });
        drop(end);
    });
    let dialled = dial(Box::new(far), Hello::default(), &TunnelConfig::default()).await;
    let (mut edge, _) = dialled.unwrap();
    tasks.spawn(async move { drop(edge.task.run().await) });
    let taken = edge.incoming.next().await.unwrap().read_open(LIMIT).await;
    let taken = taken.unwrap().accept().await.unwrap();
    (streams.await.unwrap(), EdgeStream::new(taken), tasks)
}

#[tokio::test]
async fn an_orderly_end_reads_as_one() {
    let (mut server, mut ours, _tasks) = stream().await;
    server.write_all(b"all of it").await.unwrap();
    server.shutdown().await.unwrap();
    let mut came = Vec::new();
    ours.read_to_end(&mut came).await.unwrap();
    assert_eq!(came, b"all of it");
    // The other half is still open.
    ours.write_all(b"answer").await.unwrap();
    ours.shutdown().await.unwrap();
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"answer");
    assert_eq!(server.peer_end().wait().await, StreamEnd::Fin { bytes: 6 });
}

#[tokio::test]
async fn a_stream_that_the_server_gave_up_reads_as_broken() {
    let (mut server, mut ours, _tasks) = stream().await;
    server.write_all(b"half").await.unwrap();
    let mut came = [0; 4];
    ours.read_exact(&mut came).await.unwrap();
    drop(server);
    for _ in 0..2 {
        let error = ours.read(&mut came).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn a_lost_tunnel_reads_as_broken() {
    let (_server, mut ours, mut tasks) = stream().await;
    tasks.abort_all();
    let error = ours.read(&mut [0; 4]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_stream_dropped_half_way_is_a_backend_that_broke() {
    let (server, mut ours, _tasks) = stream().await;
    ours.write_all(b"half an answer").await.unwrap();
    drop(ours);
    assert_eq!(server.peer_end().wait().await, StreamEnd::BackendLost);
}

#[tokio::test]
async fn a_read_into_no_room_is_no_end() {
    let (mut server, mut ours, _tasks) = stream().await;
    server.write_all(b"more").await.unwrap();
    assert_eq!(ours.read(&mut []).await.unwrap(), 0);
    let mut came = [0; 4];
    ours.read_exact(&mut came).await.unwrap();
}

#[tokio::test]
async fn a_server_that_takes_no_streams_is_an_answer() {
    let (backend, incoming) = Backend::in_process();
    let mut reached = Vec::new();
    for _ in 0..WAITING {
        reached.push(backend.reach(LIMIT).await.unwrap());
    }
    let refused = backend.reach(LIMIT).await.err();
    assert!(matches!(refused, Some(DialError::Stuck)));
    reached.pop();
    drop(backend.reach(LIMIT).await.unwrap());
    drop(incoming);
    let refused = backend.reach(LIMIT).await.err();
    assert!(matches!(refused, Some(DialError::Ended)));
}
