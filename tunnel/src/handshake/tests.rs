//! Peers that say something else than a hello, or nothing, over a pipe in memory and a paused clock.

use tokio::io::{AsyncWriteExt as _, duplex};
use tokio::time::sleep;

use super::*;
use crate::message::{Challenge, Endpoint, Heartbeat};
use crate::scripted::{End, Foreign, frame};

fn hello() -> Hello {
    Hello {
        min_version: PROTOCOL_VERSION,
        max_version: PROTOCOL_VERSION,
        ..Hello::default()
    }
}

/// What a server makes of a peer that writes `bytes` on the control stream, and then waits.
async fn said(bytes: &[u8]) -> Result<Accepted, HandshakeError> {
    let (near, far) = duplex(64 * 1024);
    let config = TunnelConfig::default();
    let (accepted, _) = tokio::join!(accept(Box::new(near), &config), async {
        let mut peer = Foreign::over(far, Mode::Client).await;
        peer.write(bytes).await;
        peer
    });
    accepted.map(Arrival::expect_hello)
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_says_nothing_is_cut_in_ten_seconds() {
    let (near, _far) = duplex(1024);
    let start = Instant::now();
    let error = accept(Box::new(near), &TunnelConfig::default()).await;
    assert!(
        matches!(error, Err(HandshakeError::Timeout(_))),
        "{error:?}"
    );
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn half_a_hello_is_cut_in_ten_seconds() {
    let bytes = frame(Message::Hello(Hello {
        software: "s".repeat(100),
        ..hello()
    }));
    let start = Instant::now();
    for cut in [0, 3, 4, 50] {
        let error = said(&bytes[..cut]).await;
        assert!(
            matches!(error, Err(HandshakeError::Timeout(_))),
            "{error:?}"
        );
    }
    assert_eq!(start.elapsed().as_secs(), 40);
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_yamux_end_the_handshake_at_once() {
    let start = Instant::now();
    for bytes in [
        &b"rainbow\nrainbow\n"[..],
        b"GET / HTTP/1.1\r\n\r\n",
        &[0xff; 64],
    ] {
        let (near, mut far) = duplex(1024);
        far.write_all(bytes).await.unwrap();
        let error = accept(Box::new(near), &TunnelConfig::default()).await;
        assert!(matches!(error, Err(HandshakeError::Lost(_))), "{error:?}");
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_message_ends_the_handshake_at_once() {
    let too_long = [0, 1, 0, 1, 0, 0];
    let no_protobuf = [0, 0, 0, 3, 0xff, 0xff, 0xff];
    let start = Instant::now();
    for bytes in [&too_long[..], &no_protobuf, &[0xff; 200]] {
        let error = said(bytes).await;
        assert!(
            matches!(error, Err(HandshakeError::Malformed(_))),
            "{error:?}"
        );
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn another_message_than_a_hello_ends_the_handshake() {
    let empty = [0, 0, 0, 0];
    let heartbeat = frame(Message::Heartbeat(Heartbeat::default()));
    for bytes in [&empty[..], &heartbeat] {
        let error = said(bytes).await;
        assert!(
            matches!(error, Err(HandshakeError::Unexpected)),
            "{error:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_hello_byte_by_byte_is_a_hello() {
    let bytes = frame(Message::Hello(Hello {
        endpoints: vec![Endpoint {
            client_id: "rainbow".to_owned(),
            ..Endpoint::default()
        }],
        ..hello()
    }));
    let (near, far) = duplex(64 * 1024);
    let config = TunnelConfig::default();
    let (accepted, _) = tokio::join!(accept(Box::new(near), &config), async {
        let mut peer = Foreign::over(far, Mode::Client).await;
        for byte in &bytes {
            peer.write(&[*byte]).await;
        }
        peer
    });
    let accepted = accepted.unwrap().expect_hello();
    assert_eq!(accepted.hello().endpoints[0].client_id, "rainbow");
}

#[test]
fn a_hello_that_no_server_serves_is_refused_by_name() {
    let refused = |change: &dyn Fn(&mut Hello)| {
        let mut hello = hello();
        change(&mut hello);
        let refused = unsupported_in(&hello).unwrap();
        (refused.code(), refused.text)
    };
    let newer = refused(&|hello| (hello.min_version, hello.max_version) = (2, 3));
    assert_eq!(newer.0, Code::Version);
    assert!(newer.1.contains("2 to 3"), "{}", newer.1);
    let none = refused(&|hello| (hello.min_version, hello.max_version) = (0, 0));
    assert_eq!(none.0, Code::Version);
    type Change<'a> = &'a dyn Fn(&mut Hello);
    let fields: [(&str, Change<'_>); 3] = [
        ("flight", &|hello| {
            hello.critical_features = vec!["flight".to_owned()]
        }),
        ("limits", &|hello| {
            hello.limits = Some(crate::message::Limits { max_streams: 4 });
        }),
        ("namespace", &|hello| hello.namespace = "other".to_owned()),
    ];
    for (name, change) in fields {
        let (code, text) = refused(change);
        assert_eq!(code, Code::Unsupported, "{name}");
        assert!(text.contains(name), "{text}");
    }
    let mut fine = hello();
    fine.max_version = 9;
    fine.features = vec!["flight".to_owned()];
    fine.namespace = "default".to_owned();
    assert_eq!(unsupported_in(&fine), None);
}

/// What an edge makes of a server that answers its hello with `bytes`, and hangs up if `hang_up`.
async fn answered(bytes: &[u8], hang_up: bool) -> HandshakeError {
    let (near, far) = duplex(64 * 1024);
    let config = TunnelConfig::default();
    let (dialled, _) = tokio::join!(dial(Box::new(near), Hello::default(), &config), async {
        let mut peer = Foreign::over(far, Mode::Server).await;
        assert!(matches!(peer.hear().await, Some(Message::Hello(_))));
        peer.write(bytes).await;
        if hang_up {
            peer.go_away().await;
        }
        peer
    });
    dialled.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn an_edge_that_is_refused_learns_the_reason_also_when_the_server_hangs_up_at_once() {
    for hang_up in [false, true] {
        let refused = Refused {
            code: Code::DuplicateClientId.into(),
            text: "taken".to_owned(),
            retry_after: None,
        };
        let bytes = frame(Message::Refused(refused));
        match answered(&bytes, hang_up).await {
            HandshakeError::Refused(refused) => assert_eq!(refused.text, "taken"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_edge_without_a_credential_says_so_and_does_not_answer_a_challenge() {
    let bytes = frame(Message::Challenge(Challenge::default()));
    match answered(&bytes, false).await {
        HandshakeError::Refused(refused) => assert_eq!(refused.code(), Code::Unauthenticated),
        other => panic!("{other:?}"),
    }
}

/// What a server hears of an edge that it challenges so often, and what comes of it.
async fn challenged(times: usize) -> (usize, Result<(), HandshakeError>) {
    let (near, far) = duplex(64 * 1024);
    let config = TunnelConfig::default();
    let answer = |nonce: &[u8]| Some([nonce, b" signed"].concat());
    let edge = dial_proving(Box::new(near), Hello::default(), answer, &config);
    let server = async {
        let accepted = accept(Box::new(far), &config).await;
        let mut accepted = accepted.unwrap().expect_hello();
        for round in 0..times {
            let nonce = format!("nonce {round}");
            match accepted.challenge(nonce.as_bytes()).await {
                Ok(proof) => assert_eq!(proof, format!("{nonce} signed").into_bytes()),
                Err(_) => return (round, None),
            }
        }
        let established = accepted.welcome(Welcome::default()).await;
        (times, Some(End::run(established.unwrap())))
    };
    let (dialled, (answered, _end)) = tokio::join!(edge, server);
    (answered, dialled.map(drop))
}

#[tokio::test(start_paused = true)]
async fn an_edge_answers_three_challenges_and_no_fourth() {
    for times in 0..=3 {
        let (answered, dialled) = challenged(times).await;
        assert!(answered == times && dialled.is_ok(), "{dialled:?}");
    }
    let (answered, dialled) = challenged(4).await;
    assert_eq!(answered, 3);
    assert!(
        matches!(dialled, Err(HandshakeError::Unexpected)),
        "{dialled:?}"
    );
}

/// One deadline is for the hello and every proof.
#[tokio::test(start_paused = true)]
async fn an_edge_that_proves_nothing_is_cut_ten_seconds_after_it_came() {
    let (near, far) = duplex(64 * 1024);
    let config = TunnelConfig::default();
    let start = Instant::now();
    let server = async {
        let accepted = accept(Box::new(near), &config).await;
        let mut accepted = accepted.unwrap().expect_hello();
        let proof = accepted.challenge(b"first").await.unwrap();
        assert_eq!(proof, b"good");
        accepted.challenge(b"second").await
    };
    let edge = async {
        let mut peer = Foreign::over(far, Mode::Client).await;
        sleep(Duration::from_secs(4)).await;
        peer.say(Message::Hello(hello())).await;
        assert!(matches!(peer.hear().await, Some(Message::Challenge(_))));
        sleep(Duration::from_secs(4)).await;
        let signature = b"good".to_vec();
        peer.say(Message::Proof(Proof { signature })).await;
        peer
    };
    let (error, _peer) = tokio::join!(server, edge);
    assert!(
        matches!(error, Err(HandshakeError::Timeout(_))),
        "{error:?}"
    );
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_proof_ends_the_handshake() {
    let (near, far) = duplex(64 * 1024);
    let config = TunnelConfig::default();
    let server = async {
        let accepted = accept(Box::new(near), &config).await;
        accepted.unwrap().expect_hello().challenge(b"nonce").await
    };
    let edge = async {
        let mut peer = Foreign::over(far, Mode::Client).await;
        peer.say(Message::Hello(hello())).await;
        peer.say(Message::Hello(hello())).await;
        peer
    };
    let (error, _peer) = tokio::join!(server, edge);
    assert!(
        matches!(error, Err(HandshakeError::Unexpected)),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_given_up() {
    let start = Instant::now();
    let unanswered = |error| match error {
        HandshakeError::Unanswered(why) => *why,
        other => panic!("{other:?}"),
    };
    let why = unanswered(answered(&[0, 0], false).await);
    assert!(matches!(why, HandshakeError::Timeout(_)), "{why:?}");
    assert_eq!(start.elapsed().as_secs(), 10);
    let why = unanswered(answered(&[], true).await);
    assert!(matches!(why, HandshakeError::Lost(_)), "{why:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_read_before_the_server_closes() {
    let (near, far) = duplex(64 * 1024);
    let config = TunnelConfig::default();
    let server = async {
        let accepted = accept(Box::new(near), &config)
            .await
            .unwrap()
            .expect_hello();
        let refused = Refused {
            code: Code::Limit.into(),
            text: "full".to_owned(),
            retry_after: None,
        };
        accepted.refuse(refused).await.unwrap();
    };
    let start = Instant::now();
    let ((), dialled) = tokio::join!(server, async {
        dial(Box::new(far), Hello::default(), &config).await
    });
    assert!(
        matches!(dialled, Err(HandshakeError::Refused(_))),
        "{dialled:?}"
    );
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "the edge hung up, and the server saw it"
    );
}
