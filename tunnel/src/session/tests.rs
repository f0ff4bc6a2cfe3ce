//! Sessions over a pipe in memory: two of ours, or ours and a scripted peer.

use std::collections::VecDeque;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, duplex};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use yamux::Mode;

use super::*;
use crate::config::LANES;
use crate::message::{Control, Heartbeat as Beat, Hello, Welcome};
use crate::scripted::{End, Foreign, frame};
use crate::{StreamEnd, TunnelConfig, accept, dial};

mod streams;

const PIPE: usize = 64 * 1024;
const DIAL: Duration = Duration::from_secs(5);

/// A server and an edge of ours.
async fn both(near: DuplexStream, far: DuplexStream) -> (End, End) {
    let config = TunnelConfig::default();
    let server = async {
        let accepted = accept(Box::new(near), &config)
            .await
            .unwrap()
            .expect_hello();
        // The welcome leaves when the work runs.
        End::run(accepted.welcome(Welcome::default()).await.unwrap())
    };
    let edge = async {
        let (established, _) = dial(Box::new(far), Hello::default(), &config)
            .await
            .unwrap();
        End::run(established)
    };
    tokio::join!(server, edge)
}

async fn pair() -> (End, End) {
    let (near, far) = duplex(PIPE);
    both(near, far).await
}

/// A server of ours, and a scripted edge.
async fn with_foreign() -> (End, Foreign) {
    let (near, far) = duplex(PIPE);
    let config = TunnelConfig::default();
    let server = async {
        let accepted = accept(Box::new(near), &config)
            .await
            .unwrap()
            .expect_hello();
        // The welcome leaves when the work runs.
        End::run(accepted.welcome(Welcome::default()).await.unwrap())
    };
    let edge = async {
        let mut foreign = Foreign::over(far, Mode::Client).await;
        let hello = Hello {
            min_version: 1,
            max_version: 1,
            ..Hello::default()
        };
        foreign.say(Message::Hello(hello)).await;
        assert!(matches!(foreign.hear().await, Some(Message::Welcome(_))));
        foreign
    };
    tokio::join!(server, edge)
}

/// A stream from the server to the edge, both ends.
async fn stream(server: &End, edge: &mut End) -> (TunnelStream, TunnelStream) {
    let (near, far) = tokio::join!(server.session.open(open::Kind::H2, 1, DIAL), edge.take());
    (near.unwrap(), far)
}

async fn read_all(stream: &mut TunnelStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    bytes
}

/// A pipe whose bytes take `delay` each way.
fn long_pipe(delay: Duration) -> (DuplexStream, DuplexStream, JoinSet<()>) {
    const ROOM: usize = 64 * 1024 * 1024;
    let (near, near_end) = duplex(ROOM);
    let (far, far_end) = duplex(ROOM);
    let (near_read, near_write) = tokio::io::split(near_end);
    let (far_read, far_write) = tokio::io::split(far_end);
    let mut tasks = JoinSet::new();
    tasks.spawn(carry(near_read, far_write, delay));
    tasks.spawn(carry(far_read, near_write, delay));
    (near, far, tasks)
}

async fn carry(mut from: ReadHalf<DuplexStream>, mut to: WriteHalf<DuplexStream>, delay: Duration) {
    let mut under_way: VecDeque<(Instant, BytesMut)> = VecDeque::new();
    let mut buffer = BytesMut::new();
    loop {
        let due = under_way.front().map(|(due, _)| *due);
        tokio::select! {
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                let (_, bytes) = under_way.pop_front().unwrap();
                to.write_all(&bytes).await.unwrap();
            }
            read = from.read_buf(&mut buffer) => {
                if read.unwrap() == 0 {
                    return;
                }
                under_way.push_back((Instant::now() + delay, buffer.split()));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_falls_silent_is_given_up_in_twenty_seconds() {
    let (server, foreign) = with_foreign().await;
    foreign.freeze().await;
    let start = Instant::now();
    let end = server.session.closed().await;
    assert!(matches!(end, SessionError::Silent(_)), "{end}");
    assert!(
        (19..=33).contains(&start.elapsed().as_secs()),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn an_idle_session_lives_on_heartbeats() {
    let (near, far, _link) = long_pipe(Duration::from_millis(1));
    let (server, edge) = both(near, far).await;
    let hour = Duration::from_secs(3600);
    assert!(timeout(hour, server.session.closed()).await.is_err());
    assert!(server.session.in_rotation() && edge.session.in_rotation());
    server.session.proven().await;
    edge.session.proven().await;
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_is_answered_with_its_number() {
    let (_server, mut foreign) = with_foreign().await;
    let beat = Beat {
        sequence: 77,
        answer: false,
    };
    foreign.say(Message::Heartbeat(beat)).await;
    loop {
        if let Some(Message::Heartbeat(Beat {
            sequence: 77,
            answer: true,
        })) = foreign.hear().await
        {
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_answered_by_whoever_lives_and_by_nobody_else() {
    let limit = Duration::from_secs(2);
    let (server, edge) = pair().await;
    // Well before the next heartbeat is due.
    sleep(Duration::from_secs(1)).await;
    let start = Instant::now();
    assert!(server.session.probe(limit).await);
    assert!(start.elapsed() < limit, "{:?}", start.elapsed());
    edge.session.close(Code::Ok, "bye");
    server.session.closed().await;
    assert!(!server.session.probe(limit).await);

    let (server, foreign) = with_foreign().await;
    foreign.freeze().await;
    sleep(Duration::from_secs(1)).await;
    let start = Instant::now();
    let probes = tokio::join!(server.session.probe(limit), server.session.probe(limit));
    assert_eq!(probes, (false, false));
    assert_eq!(start.elapsed(), limit);
    assert!(!server.session.is_closed(), "that is for others to do");
}

#[tokio::test(start_paused = true)]
async fn yamuxs_own_goodbye_ends_the_session() {
    let (server, foreign) = with_foreign().await;
    foreign.go_away().await;
    let end = server.session.closed().await;
    assert!(matches!(end, SessionError::Lost(_)), "{end}");
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_says_why_and_everything_said_before_it_arrives_first() {
    let (server, mut edge) = pair().await;
    let (mut near, mut far) = stream(&server, &mut edge).await;
    far.write_all(b"last words").await.unwrap();
    far.shutdown().await.unwrap();
    edge.session.drain("soon", Duration::from_secs(3));
    edge.session.close(Code::ShuttingDown, "bye");
    match server.session.closed().await {
        SessionError::Goodbye { code, reason } => {
            assert_eq!((*code, reason.as_str()), (Code::ShuttingDown, "bye"));
        }
        other => panic!("{other}"),
    }
    assert_eq!(near.peer_end().get(), Some(StreamEnd::Fin { bytes: 10 }));
    let drain = server.session.peer_drains().await;
    assert_eq!(drain.reason, "soon");
    assert_eq!(drain.retry_after.map(|again| again.seconds), Some(3));
    assert_eq!(read_all(&mut near).await, b"last words");
    let own = edge.session.closed().await;
    assert!(matches!(own, SessionError::Closed(_)), "{own}");
    assert!(matches!(
        edge.tasks.join_next().await,
        Some(Ok(SessionError::Closed(_)))
    ));
    let refused = edge.session.open(open::Kind::H2, 1, DIAL).await;
    assert!(matches!(refused, Err(OpenError::Lost)), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn what_breaks_the_control_streams_rules_ends_the_session_with_a_goodbye() {
    let critical = Control {
        message: Some(Message::Heartbeat(Beat::default())),
        critical: vec![14],
    };
    let mut unknown = BytesMut::new();
    codec::encode(&critical, &mut unknown).unwrap();
    let late = frame(Message::Hello(Hello::default()));
    for (bytes, code) in [
        (&b"rainbow\n"[..], Code::Malformed),
        (&[0, 0, 0, 1, 0xff], Code::Malformed),
        (&late, Code::Malformed),
        (&unknown, Code::Unsupported),
    ] {
        let (server, mut foreign) = with_foreign().await;
        foreign.write(bytes).await;
        loop {
            match foreign.hear().await {
                Some(Message::Goodbye(goodbye)) => {
                    assert_eq!(goodbye.code(), code);
                    break;
                }
                Some(_) => {}
                None => panic!("no goodbye"),
            }
        }
        assert!(server.session.is_closed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_superseded_tunnel_is_told_and_lives_on() {
    let (server, mut edge) = pair().await;
    server.session.supersede("taken over");
    let told = edge.session.superseded().await;
    assert_eq!(told.reason, "taken over");
    stream(&server, &mut edge).await;
    assert!(!edge.session.is_closed());
}

#[tokio::test(start_paused = true)]
async fn messages_of_later_versions_are_ignored() {
    let (server, mut foreign) = with_foreign().await;
    // Field 14, a message of two bytes.
    foreign.write(&[0, 0, 0, 4, 0x72, 2, 8, 1]).await;
    foreign.say(Message::Drain(Drain::default())).await;
    server.session.peer_drains().await;
    assert!(!server.session.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_its_control_stream_is_cut() {
    let (server, foreign) = with_foreign().await;
    foreign.freeze().await;
    for _ in 0..20_000 {
        if server.session.is_closed() {
            break;
        }
        server.session.drain("one of very many", Duration::ZERO);
        tokio::task::yield_now().await;
    }
    match server.session.closed().await {
        SessionError::Closed(reason) => {
            assert_eq!(reason, "the peer does not read its control stream");
        }
        other => panic!("{other}"),
    }
}
