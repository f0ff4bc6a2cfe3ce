//! A status that the backend sends reaches its caller as it is: any code, any text, any details, in as many frames.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use grpc_multiplexer_tests::{Answer, Backend, Frame, Path, frame_backend, kind};

const OK: [(&str, &str); 2] = [(":status", "200"), ("content-type", "application/grpc")];

type Entries = Vec<(&'static str, String)>;

/// Statuses as trailers, good and odd.
fn statuses() -> Vec<Entries> {
    // Those of gRPC, the next, one that nobody has, and what is no number.
    let codes = (0..=17).map(|code| code.to_string());
    let codes = codes.chain(["99", "007", "-1", "", "OK"].map(str::to_owned));
    let mut all: Vec<Entries> = codes.map(|code| vec![("grpc-status", code)]).collect();
    for message in [
        "in words",
        "",
        "50%25 and %C3%A4",
        "%zz",
        "100%",
        "%C3",
        "a\u{e4} unescaped",
        "mux: tunnel to edge 'rainbow' lost",
    ] {
        let status = ("grpc-status", "9".to_owned());
        all.push(vec![status, ("grpc-message", message.to_owned())]);
    }
    // Ours have details too, but only ours are marked.
    for details in [
        "CAUSBG9vcHM",
        "CAUSBG9vcHM=",
        "no base64!",
        "",
        &"A".repeat(8 * 1024),
    ] {
        all.push(vec![
            ("grpc-status", "5".to_owned()),
            ("grpc-status-details-bin", details.to_owned()),
            ("grpc-retry-pushback-ms", "-1".to_owned()),
            ("trailer-of-theirs", "1".to_owned()),
        ]);
    }
    // Several of one name, which a caller may take as it likes.
    all.push(vec![
        ("grpc-status", "5".to_owned()),
        ("grpc-status", "7".to_owned()),
    ]);
    all
}

/// A backend that answers its n-th call with the n-th frames, which are of stream 0 there.
async fn in_turn(answers: Vec<Vec<Frame>>) -> Backend {
    let (answers, turn) = (Arc::new(answers), Arc::new(AtomicUsize::new(0)));
    frame_backend(move |mut connection| {
        let (answers, turn) = (Arc::clone(&answers), Arc::clone(&turn));
        async move {
            while let Some(frame) = connection.frame().await {
                if frame.kind == kind::HEADERS {
                    let mut answer = answers[turn.fetch_add(1, Ordering::Relaxed)].clone();
                    answer.iter_mut().for_each(|f| f.stream = frame.stream);
                    connection.send_all(&answer).await;
                }
            }
        }
    })
    .await
}

fn with_ok(status: &Entries) -> Vec<(&str, &str)> {
    let status = status.iter().map(|(name, value)| (*name, value.as_str()));
    OK.into_iter().chain(status).collect()
}

/// Asserts that these entries, in this order, are all that came.
#[track_caller]
fn is(map: &http::HeaderMap, entries: &[(&str, &str)]) {
    let came: Vec<_> = map
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_bytes()))
        .collect();
    let mut sent: Vec<_> = entries.iter().map(|(k, v)| (*k, v.as_bytes())).collect();
    // The order of different names is nobody's business.
    sent.sort_by_key(|(name, _)| came.iter().position(|(other, _)| other == name));
    assert_eq!(came, sent);
}

#[tokio::test]
async fn a_status_of_the_backends_comes_as_it_left() {
    let statuses = statuses();
    let alone = statuses
        .iter()
        .map(|status| vec![Frame::headers(0, &with_ok(status), true)]);
    let behind_bytes = statuses.iter().map(|status| {
        vec![
            Frame::headers(0, &OK, false),
            Frame::data(0, b"bytes", false),
            Frame::headers(0, &with_ok(status)[2..], true),
        ]
    });
    let backend = in_turn(alone.chain(behind_bytes).collect()).await;
    let path = Path::to(&backend).await;
    for status in &statuses {
        let answer = path.ask(&[]).await.answer().await;
        assert!(answer.trailers_only, "{status:?}: {answer:?}");
        is(&answer.headers, &with_ok(status)[1..]);
        assert_eq!((answer.status, answer.reset), (200, None));
    }
    for status in &statuses {
        let answer = path.ask(&[]).await.answer().await;
        assert_eq!(answer.body, b"bytes", "{status:?}: {answer:?}");
        is(&answer.headers, &OK[1..]);
        is(&answer.trailers, &with_ok(status)[2..]);
        assert_eq!((answer.status, answer.reset), (200, None));
    }
    assert_eq!(backend.connections(), 1);
}

/// Entries that weigh `bytes` as metadata does, with those that are there already.
fn filled(bytes: usize, entries: &[(&str, &str)]) -> String {
    let weigh = |(name, value): &(&str, &str)| name.len() + value.len() + 32;
    let given: usize = entries.iter().map(weigh).sum();
    "v".repeat(bytes - given - "k".len() - 32)
}

#[tokio::test]
async fn response_metadata_at_its_limits_passes_and_one_more_does_not() {
    const BYTES: usize = 16 * 1024;
    const ENTRIES: usize = 100;
    let status = ("grpc-status", "0");
    let mut answers = Vec::new();
    for over in [0, 1] {
        let value = filled(BYTES + over, &OK[1..]);
        let large = [&OK[..], &[("k", &value)]].concat();
        let many = [&OK[..], &vec![("k", "v"); ENTRIES - 1 + over]].concat();
        for headers in [large, many] {
            let headers = Frame::headers(0, &headers, false);
            answers.push(vec![headers, Frame::headers(0, &[status], true)]);
        }
        let value = filled(BYTES + over, &[status]);
        let large = vec![status, ("k", &value)];
        let many = [&[status][..], &vec![("k", "v"); ENTRIES - 1 + over]].concat();
        for trailers in [large, many] {
            let headers = Frame::headers(0, &OK, false);
            answers.push(vec![headers, Frame::headers(0, &trailers, true)]);
        }
    }
    let backend = in_turn(answers).await;
    let path = Path::to(&backend).await;
    let ask = async || -> Answer { path.ask(&[]).await.answer().await };
    for _ in 0..4 {
        ask().await.is_backends(0);
    }
    for _ in 0..4 {
        let message = "mux: response metadata too large";
        ask().await.is_ours(8, message, "response-metadata", "yes");
    }
}

#[tokio::test]
async fn an_http_status_with_or_without_an_end_becomes_one_of_grpcs() {
    let http = |status: &'static str| (":status", status);
    let html = ("content-type", "text/html");
    let mut answers = Vec::new();
    for status in ["204", "304", "404", "503"] {
        answers.push(vec![Frame::headers(0, &[http(status)], true)]);
    }
    // One that says first that it goes on.
    answers.push(vec![
        Frame::headers(0, &[http("100")], false),
        Frame::headers(0, &[http("502"), html], false),
        Frame::data(0, b"<html>", true),
    ]);
    // With trailers that have no status either.
    answers.push(vec![
        Frame::headers(0, &[http("504"), html], false),
        Frame::headers(0, &[("k", "v")], true),
    ]);
    let backend = in_turn(answers).await;
    let path = Path::to(&backend).await;
    for (status, code) in [
        (204, 2),
        (304, 2),
        (404, 12),
        (503, 14),
        (502, 14),
        (504, 14),
    ] {
        let answer = path.ask(&[]).await.answer().await;
        let message = format!("mux: backend HTTP {status}");
        answer.is_ours(code, &message, "http-status", "yes");
        assert!(answer.trailers_only, "{answer:?}");
    }
    assert_eq!(backend.connections(), 1);
}

/// HEADERS in pieces, with padding and a priority: the same to whoever reads HTTP/2.
fn in_pieces(entries: &[(&str, &str)], end: bool) -> Vec<Frame> {
    const END_STREAM: u8 = 0x1;
    const END_HEADERS: u8 = 0x4;
    const PADDED_WITH_PRIORITY: u8 = 0x8 | 0x20;
    let block = Frame::headers(0, entries, false).payload;
    let (first, rest) = block.split_at(block.len() / 2);
    let (second, third) = rest.split_at(1);
    let padding = [0; 7];
    // Depends on no stream, with weight 16.
    let priority = [0, 0, 0, 0, 15];
    let first = [&[7][..], &priority, first, &padding].concat();
    let flags = PADDED_WITH_PRIORITY | if end { END_STREAM } else { 0 };
    vec![
        Frame::new(kind::HEADERS, flags, 0, &first),
        Frame::new(kind::CONTINUATION, 0, 0, second),
        Frame::new(kind::CONTINUATION, END_HEADERS, 0, third),
    ]
}

#[tokio::test]
async fn odd_but_legal_frames_are_the_same_answer() {
    const PADDED: u8 = 0x8;
    let status = [("grpc-status", "9"), ("grpc-message", "theirs")];
    let padded = [&[200][..], b"bytes", &[0; 200]].concat();
    let between = [
        Frame::new(kind::DATA, PADDED, 0, &padded),
        // PRIORITY, and a type that nobody knows.
        Frame::new(2, 0, 0, &[0, 0, 0, 0, 15]),
        Frame::new(0xbe, 0xff, 0, b"of tomorrow"),
        Frame::data(0, b"", false),
        Frame::data(0, b" and more", false),
    ];
    let whole = [
        &in_pieces(&OK, false)[..],
        &between,
        &in_pieces(&status, true),
    ];
    let alone = in_pieces(&[&OK[..], &status].concat(), true);
    let backend = in_turn(vec![whole.concat(), alone]).await;
    let path = Path::to(&backend).await;
    for body in [&b"bytes and more"[..], b""] {
        let answer = path.ask(&[]).await.answer().await;
        answer.is_backends(9);
        assert_eq!(answer.message(), "theirs");
        assert_eq!(answer.body, body);
        assert_eq!(answer.trailers_only, body.is_empty());
    }
    assert_eq!(backend.connections(), 1);
}
