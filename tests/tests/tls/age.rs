//! Tunnels that get no older than they may.

use std::time::Duration;

use grpc_multiplexer_tests::{Backend, Caller, Load, hello, within};
use grpc_multiplexer_tunnel::message::Code;
use grpc_multiplexer_tunnel::{SessionError, TunnelConfig, dial};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::{NOWHERE, edge, server};

/// The least that there is.
const AGE: Duration = Duration::from_secs(10);

fn limited() -> [String; 1] {
    ["--max-tunnel-age=10s".to_owned()]
}

/// Each slot gets its next tunnel before it leaves the last; what runs then finishes there.
#[tokio::test]
async fn tunnels_are_renewed_under_load_and_no_call_fails() {
    let mux = server(&limited()).await;
    let backend = Backend::h2(async |mut call| {
        call.headers();
        call.read_all().await;
        call.data(b"pong").await;
        call.trailers(&[("grpc-status", "0")]);
    })
    .await;
    let address = backend.address.to_string();
    let edge = edge(&mux, &address, &["--tunnels=2".to_owned()]);
    edge.says_times(" connected ", 2).await;
    let caller = Caller::connect(mux.proxy).await;
    let mut long = Vec::new();
    for _ in 0..8 {
        let mut call = caller.start("/s/m", &[("client-id", "rainbow")]).await;
        call.headers().await;
        long.push(call);
    }
    let load = Load::start(&mux).await;
    edge.says_times(" connected ", 4).await;
    for mut call in long {
        call.data(b"", true).await;
        assert_eq!(call.answer().await.body, b"pong");
    }
    edge.says_times("old tunnel closed", 2).await;
    // And again.
    edge.says_times(" connected ", 6).await;
    load.none_failed().await;
    edge.never_said("tunnel lost");
    assert_eq!(mux.listed().await, ["rainbow"]);
}

/// Who does not heed what it is told is out at that age, and not before half of it.
#[tokio::test]
async fn a_tunnel_that_is_not_renewed_ends_at_that_age() {
    let mux = server(&limited()).await;
    let socket = TcpStream::connect(mux.multiplexer).await.unwrap();
    let dialled = dial(Box::new(socket), hello("rainbow"), &TunnelConfig::default()).await;
    let (tunnel, welcome) = dialled.unwrap();
    let since = Instant::now();
    let seconds = welcome.max_age.unwrap().seconds;
    assert_eq!(u64::try_from(seconds).unwrap(), AGE.as_secs());
    let mut task = JoinSet::new();
    task.spawn(async move { drop(tunnel.task.run().await) });
    within("the word", tunnel.session.peer_drains()).await;
    let told = since.elapsed();
    assert!(
        told > AGE * 2 / 5 && !tunnel.session.is_closed(),
        "{told:?}"
    );
    let end = within("the end", tunnel.session.closed()).await;
    let is_told = matches!(
        end,
        SessionError::Goodbye {
            code: Code::Unauthenticated,
            ..
        }
    );
    assert!(is_told, "{end}");
    assert!(since.elapsed() > AGE * 4 / 5);
    assert!(mux.listed().await.is_empty());
}

#[tokio::test]
async fn an_edge_of_the_originals_comes_again_when_it_has_no_call() {
    let mux = server(&limited()).await;
    let edge = edge(&mux, NOWHERE, &["--tunnel-protocol=legacy".to_owned()]);
    edge.says_times(" connected ", 2).await;
    edge.says("tunnel lost").await;
}
