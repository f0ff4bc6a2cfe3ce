//! Streams: how they begin, what they carry, and how each end learns of the other.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_reset_reads_like_an_end_and_is_none() {
    let (server, mut edge) = pair().await;
    let (mut near, mut far) = stream(&server, &mut edge).await;
    far.write_all(b"half").await.unwrap();
    let peer = near.peer_end();
    drop(far);
    assert!(b"half".starts_with(&read_all(&mut near).await));
    assert_eq!(peer.wait().await, StreamEnd::Reset);

    let (mut near, mut far) = stream(&server, &mut edge).await;
    far.write_all(b"whole").await.unwrap();
    far.shutdown().await.unwrap();
    assert_eq!(read_all(&mut near).await, b"whole");
    assert_eq!(near.peer_end().wait().await, StreamEnd::Fin { bytes: 5 });

    let (near, far) = stream(&server, &mut edge).await;
    far.backend_lost();
    assert_eq!(near.peer_end().wait().await, StreamEnd::BackendLost);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_the_peer_said_nothing_of_is_no_orderly_end() {
    let (server, mut foreign) = with_foreign().await;
    let opened = server.session.open(open::Kind::H2, 1, DIAL);
    let answer = async {
        let mut stream = RawStream::new(foreign.inbound.recv().await.unwrap());
        let open: Open = codec::read_one(&mut stream).await.unwrap();
        stream.write_all(&[0, 0, 0, 0]).await.unwrap();
        drop(stream);
        open
    };
    let (stream, open) = tokio::join!(opened, answer);
    // The answer may be lost with the reset.
    let Ok(mut stream) = stream else { return };
    assert_eq!(read_all(&mut stream).await, b"");
    assert_eq!(stream.peer_end().get(), None);
    let ended = StreamEnded {
        tag: open.tag,
        ..StreamEnded::default()
    };
    foreign.say(Message::StreamEnded(ended)).await;
    assert_eq!(stream.peer_end().wait().await, StreamEnd::Reset);
}

#[tokio::test(start_paused = true)]
async fn one_stream_too_many_is_an_answer_and_not_the_end_of_the_session() {
    let (server, mut edge) = pair().await;
    for _ in 0..3 {
        let mut held = Vec::new();
        for _ in 0..LANES {
            held.push(stream(&server, &mut edge).await);
        }
        let more = server.session.open(open::Kind::H2, 1, DIAL).await;
        assert!(matches!(more, Err(OpenError::Limit)), "{more:?}");
        let ends: Vec<_> = held.iter().map(|(near, _)| near.peer_end()).collect();
        drop(held);
        for end in ends {
            end.wait().await;
        }
        while server.session.open_streams() + edge.session.open_streams() > 0 {
            tokio::task::yield_now().await;
        }
    }
    assert!(!server.session.is_closed());
}

#[tokio::test(start_paused = true)]
async fn streams_that_a_peer_piles_up_are_dropped_and_do_not_end_the_session() {
    let (server, mut foreign) = with_foreign().await;
    let mut streams = Vec::new();
    for _ in 0..250 {
        let mut stream = foreign.open().await;
        stream.write_all(b"x").await.unwrap();
        streams.push(stream);
    }
    let beat = Beat::default();
    foreign.say(Message::Heartbeat(beat)).await;
    while !matches!(foreign.hear().await, Some(Message::Heartbeat(beat)) if beat.answer) {}
    assert!(!server.session.is_closed());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_critical_field_of_open_is_refused() {
    let (mut server, foreign) = with_foreign().await;
    let mut stream = foreign.open().await;
    let mut bytes = BytesMut::new();
    let open = Open {
        tag: 1,
        kind: open::Kind::H2.into(),
        critical: vec![1, 99],
        ..Open::default()
    };
    codec::encode(&open, &mut bytes).unwrap();
    stream.write_all(&bytes).await.unwrap();
    let inbound = server.incoming.next().await.unwrap();
    let (read, opened) = tokio::join!(
        inbound.read_open(DIAL),
        codec::read_one::<Opened>(&mut stream)
    );
    assert!(matches!(read, Err(OpenError::Refused { .. })), "{read:?}");
    let opened = opened.unwrap();
    assert_eq!(opened.code(), Code::Unsupported);
    assert!(opened.reason.contains("99"), "{}", opened.reason);
}

/// Opens a stream with that tag, and says what it was answered.
async fn open_as(tag: u64, server: &mut End, foreign: &Foreign) -> (Code, Option<TunnelStream>) {
    let mut stream = foreign.open().await;
    let mut bytes = BytesMut::new();
    let open = Open {
        tag,
        kind: open::Kind::Bytes.into(),
        ..Open::default()
    };
    codec::encode(&open, &mut bytes).unwrap();
    stream.write_all(&bytes).await.unwrap();
    let take = async {
        let inbound = server.incoming.next().await.unwrap();
        inbound.read_open(DIAL).await.unwrap().accept().await.ok()
    };
    let (taken, opened) = tokio::join!(take, codec::read_one::<Opened>(&mut stream));
    (opened.unwrap().code(), taken)
}

#[tokio::test(start_paused = true)]
async fn no_two_streams_have_one_tag() {
    let (mut server, foreign) = with_foreign().await;
    let (code, first) = open_as(2, &mut server, &foreign).await;
    assert_eq!(code, Code::Ok);
    let (code, second) = open_as(2, &mut server, &foreign).await;
    assert_eq!((code, second.is_none()), (Code::Malformed, true));
    // The server's own first tag would be 2.
    let opened = server.session.open(open::Kind::Bytes, 1, DIAL).await;
    assert!(
        matches!(opened, Err(OpenError::Refused { .. })),
        "{opened:?}"
    );
    server.session.close(Code::Ok, "test");
    assert_eq!(
        first.unwrap().peer_end().wait().await,
        StreamEnd::TunnelLost
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_never_says_what_it_is_for_is_dropped() {
    let (mut server, foreign) = with_foreign().await;
    let mut stream = foreign.open().await;
    stream.write_all(&[0, 0]).await.unwrap();
    let inbound = server.incoming.next().await.unwrap();
    let read = inbound.read_open(DIAL).await;
    assert!(matches!(read, Err(OpenError::Timeout(_))), "{read:?}");
    let mut rest = Vec::new();
    assert_eq!(stream.read_to_end(&mut rest).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_answers_an_open_is_not_waited_for() {
    let (server, _foreign) = with_foreign().await;
    let start = Instant::now();
    let opened = server.session.open(open::Kind::H2, 1, DIAL).await;
    assert!(matches!(opened, Err(OpenError::Timeout(_))), "{opened:?}");
    assert_eq!(start.elapsed(), DIAL + OPEN_GRACE);
    assert!(!server.session.is_closed());
}

#[tokio::test(start_paused = true)]
async fn frames_of_one_byte_carry_whatever_they_carry() {
    const BYTES: usize = 20_000;
    let (server, mut edge) = pair().await;
    let (mut near, mut far) = stream(&server, &mut edge).await;
    let write = async {
        for n in 0..BYTES {
            far.write_all(&[n as u8]).await.unwrap();
        }
        far.shutdown().await.unwrap();
    };
    let (bytes, ()) = tokio::join!(read_all(&mut near), write);
    assert!(bytes.iter().enumerate().all(|(n, byte)| *byte == n as u8));
    let bytes = u64::try_from(BYTES).unwrap();
    assert_eq!(near.peer_end().wait().await, StreamEnd::Fin { bytes });
}

#[tokio::test(start_paused = true)]
async fn dropping_the_work_is_the_end_of_the_session_and_its_streams() {
    let (mut server, mut edge) = pair().await;
    let (near, far) = stream(&server, &mut edge).await;
    server.tasks.shutdown().await;
    assert!(matches!(
        server.session.closed().await,
        SessionError::Lost(_)
    ));
    assert!(matches!(edge.session.closed().await, SessionError::Lost(_)));
    assert_eq!(near.peer_end().wait().await, StreamEnd::TunnelLost);
    assert_eq!(far.peer_end().wait().await, StreamEnd::TunnelLost);
}

// In real time: yamux measures its round trips by the machine's clock.
#[tokio::test]
async fn windows_grow_on_a_long_link() {
    const BYTES: usize = 16 * 1024 * 1024;
    let delay = Duration::from_millis(50);
    let (near, far, _link) = long_pipe(delay);
    let (server, mut edge) = both(near, far).await;
    let (mut near, mut far) = stream(&server, &mut edge).await;
    let start = Instant::now();
    let write = async {
        near.write_all(&vec![7; BYTES]).await.unwrap();
        near.shutdown().await.unwrap();
    };
    let (bytes, ()) = tokio::join!(read_all(&mut far), write);
    assert_eq!(bytes.len(), BYTES);
    // 256 KiB in each round trip of 100 ms would take 6.4 s.
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );
}

/// Waits on a stream of a tunnel, whose other end does nothing, until this side has closed the tunnel.
async fn wait_for_the_close<F: Future<Output = ()> + Send + 'static>(
    wait: impl FnOnce(TunnelStream) -> F,
) {
    let (server, mut edge) = pair().await;
    let (near, _far) = stream(&server, &mut edge).await;
    // A task of its own: nothing else wakes it.
    let mut waits = JoinSet::new();
    waits.spawn(wait(near));
    // It waits once the clock moves.
    sleep(Duration::from_secs(1)).await;
    server.session.close(Code::Ok, "test");
    let ended = timeout(Duration::from_secs(60), waits.join_next()).await;
    ended.unwrap().unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_reads_from_a_tunnel_that_this_side_closes_learns_it() {
    wait_for_the_close(|mut stream| async move {
        // The end of the bytes, or a failure: which does not matter.
        let _ = stream.read_to_end(&mut Vec::new()).await;
        assert_eq!(stream.peer_end().wait().await, StreamEnd::TunnelLost);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_to_write_to_a_tunnel_that_this_side_closes_learns_it() {
    wait_for_the_close(
        |mut stream| async move { while stream.write_all(&[0; 4096]).await.is_ok() {} },
    )
    .await;
}
