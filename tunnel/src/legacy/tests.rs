//! Peers of the original's, over a pipe in memory and a paused clock: ours against ours, and ours against scripted ones.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::*;
use crate::message::open::Kind;
use crate::scripted::{End, Foreign};
use crate::{Arrival, BARE_ENDPOINT, SessionError, TunnelStream, accept};

const PIPE: usize = 64 * 1024;
const DIAL: Duration = Duration::from_secs(5);
/// A frame of yamux that opens stream 1, as the original's server sends it at once.
const OPENS: [u8; 12] = [0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0];

fn id(text: &str) -> ClientId {
    text.parse().unwrap()
}

/// What our server makes of an edge that writes `pieces`, and then waits.
async fn said(pieces: &[&[u8]]) -> Result<ClientId, HandshakeError> {
    let (near, far) = duplex(PIPE);
    let config = TunnelConfig::default();
    let (arrival, _) = tokio::join!(accept(Box::new(near), &config), async {
        let mut peer = Foreign::over(far, Mode::Client).await;
        for piece in pieces {
            peer.write(piece).await;
        }
        peer
    });
    arrival.map(|arrival| match arrival {
        Arrival::Legacy(edge) => edge.client_id().clone(),
        Arrival::Hello(accepted) => panic!("{accepted:?}"),
    })
}

#[tokio::test(start_paused = true)]
async fn a_line_without_an_end_is_cut() {
    let start = Instant::now();
    let error = said(&[&[b'a'; 129]]).await;
    assert!(
        matches!(error, Err(HandshakeError::Malformed(_))),
        "{error:?}"
    );
    assert_eq!(start.elapsed(), Duration::ZERO);
    let error = said(&[b"rainbow"]).await;
    assert!(
        matches!(error, Err(HandshakeError::Timeout(_))),
        "{error:?}"
    );
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_no_client_id_is_refused() {
    for line in [&b"\n"[..], b"a b\n", b"rainbow\r\n", b"-\n", b"\xff\xfe\n"] {
        let error = said(&[line]).await;
        assert!(
            matches!(error, Err(HandshakeError::Malformed(_))),
            "{line:?}: {error:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_line_may_come_whole_or_in_pieces_and_with_what_follows() {
    let longest = format!("{}\n", "a".repeat(128));
    assert_eq!(
        said(&[longest.as_bytes()]).await.unwrap().as_str().len(),
        128
    );
    let pieces: Vec<_> = b"rainbow\n".chunks(1).collect();
    assert_eq!(said(&pieces).await.unwrap(), id("rainbow"));
    let glued = [&b"rainbow\n"[..], &OPENS].concat();
    assert_eq!(said(&[&glued]).await.unwrap(), id("rainbow"));
}

/// A server and an edge, both ours, on the original's wire.
async fn pair() -> (End, End) {
    let (near, far) = duplex(PIPE);
    let config = TunnelConfig::default();
    let rainbow = id("rainbow");
    let server = async {
        let Arrival::Legacy(edge) = accept(Box::new(near), &config).await.unwrap() else {
            panic!("a hello");
        };
        // What the edge waits for leaves when the work runs.
        End::run(edge.take(&config))
    };
    let edge = async { End::run(dial_legacy(Box::new(far), &rainbow, &config).await.unwrap()) };
    tokio::join!(server, edge)
}

#[tokio::test(start_paused = true)]
async fn streams_carry_bytes_both_ways_and_their_end() {
    let (server, mut edge) = pair().await;
    let (near, mut far) = tokio::join!(
        async {
            let mut near = server
                .session
                .open(Kind::H2, BARE_ENDPOINT, DIAL)
                .await
                .unwrap();
            near.write_all(b"PRI * HTTP/2.0").await.unwrap();
            near.shutdown().await.unwrap();
            near
        },
        edge.take()
    );
    let mut near: TunnelStream = near;
    let mut got = Vec::new();
    far.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"PRI * HTTP/2.0");
    let large = vec![7; 1_000_000];
    let (sent, ()) = tokio::join!(
        async {
            far.write_all(&large).await.unwrap();
            far.shutdown().await
        },
        async {
            got.clear();
            near.read_to_end(&mut got).await.unwrap();
        }
    );
    sent.unwrap();
    assert_eq!(got, large);
    drop((near, far));
    assert_eq!(server.session.open_streams(), 0);
    assert_eq!(edge.session.open_streams(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_one_side_is_the_end_of_the_other() {
    for server_closes in [true, false] {
        let (server, edge) = pair().await;
        let (closing, other) = if server_closes {
            (server, edge)
        } else {
            (edge, server)
        };
        closing.session.close(crate::message::Code::Ok, "enough");
        assert!(matches!(
            closing.session.closed().await,
            SessionError::Closed(_)
        ));
        assert!(matches!(
            other.session.closed().await,
            SessionError::Lost(_)
        ));
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_tunnel_lives_as_long_as_there_are_pings_and_a_silent_one_ends() {
    let (near, far) = duplex(PIPE);
    let config = TunnelConfig::default();
    let (arrival, mut peer) = tokio::join!(accept(Box::new(near), &config), async {
        let mut peer = Foreign::over(far, Mode::Client).await;
        peer.write(b"rainbow\n").await;
        peer
    });
    let Ok(Arrival::Legacy(edge)) = arrival else {
        panic!("no edge");
    };
    let server = End::run(edge.take(&config));
    let limit = Duration::from_secs(2);
    // A ping of the inner session, as the original sends every 30 s.
    let mut ping = [0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    for number in 0..5 {
        ping[11] = number;
        tokio::time::sleep(Duration::from_secs(40)).await;
        assert!(!server.session.probe(limit).await, "its ping is overdue");
        peer.write(&ping).await;
    }
    assert!(!server.session.is_closed());
    let start = Instant::now();
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert!(server.session.probe(limit).await, "it may yet ping");
    assert!(matches!(
        server.session.closed().await,
        SessionError::Silent(_)
    ));
    assert_eq!(start.elapsed().as_secs(), 45);
}

/// Nothing but its turn stands between the loss and its being known: an edge that dials again at once must find its
/// name free.
#[tokio::test(start_paused = true)]
async fn a_lost_tunnel_is_known_at_once() {
    let (server, mut edge) = pair().await;
    let stream = server.session.open(Kind::H2, BARE_ENDPOINT, DIAL);
    let peer = stream.await.unwrap().peer_end();
    let start = Instant::now();
    edge.tasks.shutdown().await;
    assert!(matches!(
        server.session.closed().await,
        SessionError::Lost(_)
    ));
    assert_eq!(start.elapsed(), Duration::ZERO);
    drop(peer);
}

/// yamux's own clock cannot be paused. Between two of ours nobody else pings.
#[tokio::test]
async fn two_of_ours_keep_an_idle_tunnel_alive() {
    let (server, edge) = pair().await;
    let heard = |end: &End| end.session.shared().activity.signs().last_received;
    let start = (heard(&server), heard(&edge));
    tokio::time::timeout(Duration::from_secs(40), async {
        while heard(&server) <= start.0 + Duration::from_secs(1)
            || heard(&edge) <= start.1 + Duration::from_secs(1)
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .unwrap();
}

/// The original's server loses what arrives together with the line.
#[tokio::test(start_paused = true)]
async fn our_edge_keeps_still_behind_its_line_until_the_server_spoke() {
    let (near, far) = duplex(PIPE);
    let config = TunnelConfig::default();
    let rainbow = id("rainbow");
    let (dialled, mut peer) = tokio::join!(dial_legacy(Box::new(near), &rainbow, &config), async {
        let mut peer = Foreign::over(far, Mode::Server).await;
        let mut line = [0; 8];
        peer.control.read_exact(&mut line).await.unwrap();
        assert_eq!(&line, b"rainbow\n");
        let mut more = [0; 1];
        let still = tokio::time::timeout(Duration::from_secs(5), peer.control.read(&mut more));
        assert!(still.await.is_err());
        peer.write(&OPENS).await;
        peer
    });
    let mut edge = End::run(dialled.unwrap());
    // The stream that those bytes open is there, and its acceptance, or a ping, is what the edge says first.
    drop(edge.take().await);
    let mut header = [0; 12];
    peer.control.read_exact(&mut header).await.unwrap();
    assert_eq!(header[0], 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_up_or_says_nothing_has_not_taken_the_edge() {
    let config = TunnelConfig::default();
    let rainbow = id("rainbow");
    let dial = |far: DuplexStream, hang_up: bool| {
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut peer = Foreign::over(far, Mode::Server).await;
            let mut line = [0; 8];
            peer.control.read_exact(&mut line).await.unwrap();
            if !hang_up {
                std::future::pending::<()>().await;
            }
        });
        tasks
    };
    let (near, far) = duplex(PIPE);
    let _peer = dial(far, true);
    let error = dial_legacy(Box::new(near), &rainbow, &config).await;
    assert!(matches!(error, Err(HandshakeError::Lost(_))), "{error:?}");
    let (near, far) = duplex(PIPE);
    let _peer = dial(far, false);
    let error = dial_legacy(Box::new(near), &rainbow, &config).await;
    assert!(
        matches!(error, Err(HandshakeError::Timeout(_))),
        "{error:?}"
    );
}
