//! What becomes of what a backend does: refuses, resets, breaks off, answers nonsense, or answers well.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use grpc_multiplexer_tests::{
    Backend, Caller, Ended, Frame, FrameConnection, H2Call, Path, frame_backend, kind, within,
};
use h2::Reason;
use http::Response;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy, sink};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// Makes a call over a path to `backend`, and asserts that it cannot be reached.
async fn is_unreachable(backend: &str, edge: &[&str], class: &str) {
    let path = Path::with(&[], backend, edge).await;
    let message = format!("mux: backend of edge 'rainbow' unreachable ({class})");
    // The second is answered from memory, the same.
    for _ in 0..2 {
        let answer = path
            .caller
            .call("/s/m", &[("client-id", "rainbow")], b"body");
        let answer = answer.await;
        answer.is_ours(14, &message, "backend-connect", "no");
        assert!(answer.trailers_only, "{answer:?}");
    }
}

#[tokio::test]
async fn a_backend_that_refuses_is_unreachable() {
    is_unreachable("127.0.0.1:1", &[], "refused").await;
}

#[tokio::test]
async fn a_backend_without_an_address_is_unreachable() {
    is_unreachable("nonexistent.invalid:50051", &[], "dns").await;
}

#[tokio::test]
async fn a_backend_that_closes_at_once_is_unreachable() {
    let backend = Backend::tcp(|socket| async move { drop(socket) }).await;
    is_unreachable(&backend.address.to_string(), &[], "refused").await;
}

#[tokio::test]
async fn a_backend_that_takes_no_call_and_closes_is_unreachable_at_once() {
    const MAX_CONCURRENT_STREAMS: u16 = 3;
    let start = Instant::now();
    let backend = Backend::tcp(|socket| async move {
        let none = [(MAX_CONCURRENT_STREAMS, 0)];
        let mut connection = FrameConnection::accept_with(socket, &none).await;
        // The server's word that it has them.
        while !connection.wait_for(kind::SETTINGS).await.ends() {}
        connection.close();
    })
    .await;
    is_unreachable(&backend.address.to_string(), &[], "refused").await;
    let (took, dialled) = (start.elapsed(), backend.connections());
    assert!(took < Duration::from_secs(10), "told after {took:?}");
    // Each try of a call may look for room on as many lanes as there are.
    assert!(dialled < 200, "dialled {dialled} times");
}

#[tokio::test]
async fn a_backend_that_speaks_http_1_is_unreachable() {
    let backend = Backend::tcp(|mut socket| async move {
        let mut request = [0; 1024];
        let _ = socket.read(&mut request).await;
        let answer = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n";
        let _ = socket.write_all(answer).await;
    })
    .await;
    is_unreachable(&backend.address.to_string(), &[], "not-http2").await;
}

/// A certificate for `localhost`, and the file that holds it.
fn certificate(name: &str) -> (rcgen::CertifiedKey<rcgen::KeyPair>, PathBuf) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.pem"));
    fs::write(&file, certified.cert.pem()).unwrap();
    (certified, file)
}

/// A TLS server that says SETTINGS to whoever comes through.
async fn tls_backend(certified: &rcgen::CertifiedKey<rcgen::KeyPair>, alpn: &[&str]) -> Backend {
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Backend::tcp(move |socket| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(mut stream) = acceptor.accept(socket).await {
                let _ = stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await;
                let _ = copy(&mut stream, &mut sink()).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_backend_with_a_certificate_of_somebody_else_is_unreachable() {
    let (certified, _) = certificate("untrusted");
    let (_, other) = certificate("trusted-instead");
    let backend = tls_backend(&certified, &["h2"]).await;
    let address = format!("https://localhost:{}", backend.address.port());
    let ca = ["--backend-ca", other.to_str().unwrap()];
    is_unreachable(&address, &ca, "tls").await;
}

#[tokio::test]
async fn a_backend_whose_tls_does_not_offer_h2_is_unreachable() {
    let (certified, file) = certificate("alpn");
    for alpn in [&[][..], &["http/1.1"]] {
        let backend = tls_backend(&certified, alpn).await;
        let address = format!("https://localhost:{}", backend.address.port());
        let ca = ["--backend-ca", file.to_str().unwrap()];
        is_unreachable(&address, &ca, "alpn").await;
    }
}

#[tokio::test]
async fn a_backend_that_never_speaks_is_given_up_after_five_seconds() {
    let backend = Backend::tcp(|mut socket| async move {
        let _ = copy(&mut socket, &mut sink()).await;
    })
    .await;
    let path = Path::to(&backend).await;
    let started = Instant::now();
    let patient = path.ask(&[]).await;
    let hasty = path.ask(&[("grpc-timeout", "500m")]).await;
    let hasty = hasty.answer().await;
    hasty.is_ours(4, "mux: deadline exceeded", "deadline", "no");
    let message = "mux: backend of edge 'rainbow' unreachable (timeout)";
    let patient = patient.answer().await;
    patient.is_ours(14, message, "backend-timeout", "no");
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(4), "{took:?}");
    assert!(took <= Duration::from_secs(20), "{took:?}");
}

/// Every reason that HTTP/2 knows but REFUSED_STREAM, and one it does not; and the status code each becomes.
const RESETS: [(u32, &str, u32); 14] = [
    (0, "NO_ERROR", 13),
    (1, "PROTOCOL_ERROR", 13),
    (2, "INTERNAL_ERROR", 13),
    (3, "FLOW_CONTROL_ERROR", 13),
    (4, "SETTINGS_TIMEOUT", 13),
    (5, "STREAM_CLOSED", 2),
    (6, "FRAME_SIZE_ERROR", 13),
    (8, "CANCEL", 1),
    (9, "COMPRESSION_ERROR", 13),
    (10, "CONNECT_ERROR", 13),
    (11, "ENHANCE_YOUR_CALM", 8),
    (12, "INADEQUATE_SECURITY", 7),
    (13, "HTTP_1_1_REQUIRED", 2),
    (255, "255", 2),
];

fn number(call: &H2Call, name: &str) -> u32 {
    let value = call.request.headers()[name].to_str().unwrap();
    value.parse().unwrap()
}

#[tokio::test]
async fn a_reset_before_headers_becomes_the_status_of_its_reason() {
    let backend = Backend::h2(|mut call| async move {
        let reason = number(&call, "reason");
        call.reset(Reason::from(reason));
    })
    .await;
    let path = Path::to(&backend).await;
    for (reason, name, code) in RESETS {
        let call = path.ask(&[("reason", &reason.to_string())]).await;
        let answer = call.answer().await;
        let message = format!("mux: backend reset ({name})");
        answer.is_ours(code, &message, "backend-reset", "maybe");
        assert!(answer.trailers_only, "{answer:?}");
    }
    assert_eq!(backend.seen().len(), RESETS.len(), "none is tried twice");
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn a_reset_after_headers_keeps_the_bytes_and_becomes_trailers() {
    let backend = Backend::h2(|mut call| async move {
        let reason = number(&call, "reason");
        call.headers();
        call.data(b"so far").await;
        call.chunk().await;
        call.reset(Reason::from(reason));
    })
    .await;
    let path = Path::to(&backend).await;
    for (reason, name, code) in [&RESETS[..], &[(7, "REFUSED_STREAM", 14)]].concat() {
        let mut call = path.start(&[("reason", &reason.to_string())]).await;
        call.bytes(6).await;
        call.data(b"go", false).await;
        let answer = call.answer().await;
        let message = format!("mux: backend reset ({name})");
        answer.is_ours(code, &message, "backend-reset", "maybe");
        assert_eq!(answer.body, b"so far");
    }
    assert_eq!(backend.seen().len(), RESETS.len() + 1);
}

const OK: [(&str, &str); 2] = [(":status", "200"), ("content-type", "application/grpc")];

/// A backend that answers every call with these frames at once; they are of stream 0 there.
async fn scripted(frames: Vec<Frame>) -> Backend {
    frame_backend(move |mut connection| {
        let frames = frames.clone();
        async move {
            while let Some(frame) = connection.frame().await {
                if frame.kind == kind::HEADERS {
                    let mut frames = frames.clone();
                    frames.iter_mut().for_each(|f| f.stream = frame.stream);
                    connection.send_all(&frames).await;
                }
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_reset_after_a_whole_response_leaves_it_untouched() {
    let no_status = [("grpc-status", "5"), ("grpc-message", "theirs")];
    let trailers_only = [&OK[..], &no_status].concat();
    for reason in [0, 2, 7, 8, 11] {
        for (frames, body) in [
            (vec![Frame::headers(0, &trailers_only, true)], ""),
            (
                vec![
                    Frame::headers(0, &OK, false),
                    Frame::data(0, b"bytes", false),
                    Frame::headers(0, &no_status, true),
                ],
                "bytes",
            ),
        ] {
            let backend = scripted([frames, vec![Frame::reset(0, reason)]].concat()).await;
            let path = Path::to(&backend).await;
            // The upload is still open, as where a server ends a call early.
            let answer = path.start(&[]).await.answer().await;
            answer.is_backends(5);
            assert_eq!(answer.message(), "theirs");
            assert_eq!(answer.body, body.as_bytes());
            assert_eq!(answer.trailers_only, body.is_empty());
            assert_eq!(answer.reset, None, "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_breaks_http_2_is_a_reset_as_if_the_backend_had_sent_it() {
    let headers = Frame::headers(0, &OK, false);
    // More credit than there can be.
    let credit = Frame::new(kind::WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes());
    for frames in [vec![credit.clone()], vec![headers, credit]] {
        let backend = scripted(frames).await;
        let path = Path::to(&backend).await;
        for _ in 0..2 {
            let answer = path.start(&[]).await.answer().await;
            let message = "mux: backend reset (FLOW_CONTROL_ERROR)";
            answer.is_ours(13, message, "backend-reset", "maybe");
        }
        assert_eq!(backend.connections(), 1, "only the call pays");
    }
}

/// How a backend's connection ends.
#[derive(Debug, Clone, Copy)]
enum Close {
    Fin,
    Rst,
    /// Saying that it took the call, with a reason.
    GoAway(u32),
}

impl Close {
    async fn happen(self, mut connection: FrameConnection, call: u32) {
        match self {
            Self::Fin => connection.close(),
            Self::Rst => connection.abort(),
            Self::GoAway(reason) => {
                connection.send(&Frame::go_away(call, reason)).await;
                connection.close();
            }
        }
    }
}

#[tokio::test]
async fn a_backend_that_closes_under_a_call_is_lost_and_the_call_is_not_tried_again() {
    for close in [Close::Fin, Close::Rst, Close::GoAway(0), Close::GoAway(2)] {
        for headers in [false, true] {
            loses_a_call(close, headers).await;
        }
    }
}

async fn loses_a_call(close: Close, headers: bool) {
    let backend = frame_backend(move |mut connection| async move {
        let call = connection.wait_for(kind::HEADERS).await.stream;
        if headers {
            let frames = [
                Frame::headers(call, &OK, false),
                Frame::data(call, b"so far", false),
            ];
            connection.send_all(&frames).await;
            // The caller has them.
            connection.wait_for(kind::DATA).await;
        }
        close.happen(connection, call).await;
    })
    .await;
    let path = Path::to(&backend).await;
    let mut call = path.start(&[]).await;
    if headers {
        call.bytes(6).await;
        call.data(b"go", false).await;
    }
    let answer = call.answer().await;
    let message = "mux: backend of edge 'rainbow' closed the connection";
    answer.is_ours(14, message, "backend-lost", "maybe");
    assert_eq!(answer.trailers_only, !headers);
    assert_eq!(answer.body, if headers { &b"so far"[..] } else { b"" });
    assert_eq!(backend.connections(), 1, "{close:?} headers {headers}");
}

#[tokio::test]
async fn response_metadata_over_the_limit_is_refused_and_the_backend_cancelled() {
    let backend = Backend::h2(|mut call| async move {
        let (bytes, entries) = (number(&call, "bytes"), number(&call, "entries"));
        let value = "v".repeat(bytes as usize);
        let many = vec![("k", value.as_str()); entries as usize];
        if call.request.headers().contains_key("in-trailers") {
            call.headers();
            let status = [("grpc-status", "0")];
            call.trailers(&[&status, &many[..]].concat());
        } else {
            call.respond(&many, false);
        }
        call.wait_reset().await;
    })
    .await;
    let path = Path::to(&backend).await;
    let cases = [("17000", "1"), ("1", "101"), ("200000", "1")];
    let mut calls = 0;
    for (bytes, entries) in cases {
        for in_trailers in [false, true] {
            let mut metadata = vec![("bytes", bytes), ("entries", entries)];
            if in_trailers {
                metadata.push(("in-trailers", ""));
            }
            let answer = path.start(&metadata).await.answer().await;
            let message = "mux: response metadata too large";
            answer.is_ours(8, message, "response-metadata", "yes");
            let ended = backend.call_ended(calls).await;
            assert_eq!(ended, Ended::Reset(Reason::CANCEL), "{metadata:?}");
            calls += 1;
        }
    }
    assert_eq!(backend.connections(), 1, "only the calls pay");
}

#[tokio::test]
async fn an_http_error_without_a_status_becomes_one() {
    let backend = Backend::h2(|mut call| async move {
        let status = u16::try_from(number(&call, "http")).unwrap();
        let response = Response::builder().status(status);
        call.respond_with(response.body(()).unwrap(), false);
        call.data(b"<html>").await;
        call.wait_reset().await;
    })
    .await;
    let path = Path::to(&backend).await;
    let statuses = [
        (400, 13),
        (401, 16),
        (403, 7),
        (404, 12),
        (418, 2),
        (429, 14),
        (431, 13),
        (500, 2),
        (502, 14),
        (503, 14),
        (504, 14),
        (204, 2),
        (302, 2),
    ];
    for (n, (status, code)) in statuses.into_iter().enumerate() {
        let call = path.start(&[("http", &status.to_string())]).await;
        let answer = call.answer().await;
        let message = format!("mux: backend HTTP {status}");
        answer.is_ours(code, &message, "http-status", "yes");
        assert_eq!(answer.body, b"");
        assert_eq!(backend.call_ended(n).await, Ended::Reset(Reason::CANCEL));
    }
}

#[tokio::test]
async fn an_http_error_with_a_status_is_the_backends() {
    let backend = scripted(vec![Frame::headers(
        0,
        &[(":status", "503"), ("grpc-status", "9")],
        true,
    )])
    .await;
    let path = Path::to(&backend).await;
    let answer = path.ask(&[]).await.answer().await;
    answer.is_backends(9);
    assert_eq!(answer.status, 503);
}

#[tokio::test]
async fn a_response_without_a_status_is_unknown() {
    let headers = Frame::headers(0, &OK, false);
    for (frames, body) in [
        (vec![Frame::headers(0, &OK, true)], ""),
        (
            vec![headers.clone(), Frame::data(0, b"bytes", true)],
            "bytes",
        ),
        (vec![headers.clone(), Frame::data(0, b"", true)], ""),
        (
            vec![
                headers.clone(),
                Frame::data(0, b"bytes", false),
                Frame::headers(0, &[("k", "v")], true),
            ],
            "bytes",
        ),
    ] {
        let backend = scripted(frames).await;
        let path = Path::to(&backend).await;
        let answer = path.ask(&[]).await.answer().await;
        answer.is_ours(2, "mux: response without status", "no-status", "yes");
        assert_eq!(answer.body, body.as_bytes());
    }
}

#[tokio::test]
async fn a_response_of_trailers_only_stays_one_frame() {
    let status = [("grpc-status", "5"), ("grpc-message", "theirs")];
    let backend = scripted(vec![Frame::headers(0, &[&OK[..], &status].concat(), true)]).await;
    let path = Path::to(&backend).await;
    // The backend's, and one of ours.
    for (n, id) in ["rainbow", "nobody"].into_iter().enumerate() {
        let mut caller = FrameConnection::connect(path.mux.proxy).await;
        caller.send(&Frame::call(1, "/s/m", id, true)).await;
        let frame = loop {
            let frame = caller.frame().await.unwrap();
            if frame.stream == 1 {
                break frame;
            }
        };
        assert_eq!((frame.kind, frame.ends()), (kind::HEADERS, true), "{n}");
    }
}

#[tokio::test]
async fn informational_responses_are_swallowed() {
    let backend = scripted(vec![
        Frame::headers(0, &[(":status", "100")], false),
        Frame::headers(0, &[(":status", "103"), ("link", "x")], false),
        Frame::headers(0, &OK, false),
        Frame::data(0, b"bytes", false),
        Frame::headers(0, &[("grpc-status", "0")], true),
    ])
    .await;
    let path = Path::to(&backend).await;
    let answer = path.ask(&[]).await.answer().await;
    answer.is_backends(0);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, b"bytes");
    assert!(!answer.headers.contains_key("link"));
}

#[tokio::test]
async fn encodings_and_bytes_of_any_kind_and_size_pass_untouched() {
    const SIZE: usize = 6 * 1024 * 1024;
    let backend = Backend::h2(|mut call| async move {
        call.read_all().await;
        call.respond(&[("grpc-encoding", "snappy-of-tomorrow")], false);
        let body: Vec<u8> = (0..SIZE).map(|n| (n % 251) as u8).collect();
        call.data(&body).await;
        call.trailers(&[("grpc-status", "0")]);
    })
    .await;
    let path = Path::to(&backend).await;
    let metadata = [
        ("client-id", "rainbow"),
        ("grpc-encoding", "lzma-of-yesterday"),
        ("grpc-accept-encoding", "identity, snappy-of-tomorrow"),
    ];
    let body: Vec<u8> = (0..SIZE).map(|n| (n % 239) as u8).collect();
    let answer = path.caller.call("/s/m", &metadata, &body).await;
    answer.is_backends(0);
    assert_eq!(answer.headers["grpc-encoding"], "snappy-of-tomorrow");
    let theirs = answer.body.iter().enumerate();
    assert!(answer.body.len() == SIZE && theirs.into_iter().all(|(n, b)| *b == (n % 251) as u8));
    let seen = backend.seen().remove(0);
    assert!(seen.body == body);
    assert_eq!(seen.headers["grpc-encoding"], "lzma-of-yesterday");
    let accepts = &seen.headers["grpc-accept-encoding"];
    assert_eq!(accepts, "identity, snappy-of-tomorrow");
}

#[tokio::test]
async fn the_response_goes_on_after_the_request_ended() {
    let backend = Backend::h2(|mut call| async move {
        call.headers();
        call.data(b"before").await;
        call.read_all().await;
        call.data(b" after").await;
        call.trailers(&[("grpc-status", "0")]);
    })
    .await;
    let path = Path::to(&backend).await;
    let mut call = path.start(&[]).await;
    call.bytes(6).await;
    assert_eq!(backend.seen()[0].ended, None, "nothing ended yet");
    call.data(b"last", true).await;
    let answer = call.answer().await;
    answer.is_backends(0);
    assert_eq!(answer.body, b"before after");
    let seen = backend.seen().remove(0);
    assert_eq!(
        (&seen.body[..], seen.ended),
        (&b"last"[..], Some(Ended::Cleanly))
    );
}

#[tokio::test]
async fn an_early_answer_comes_at_once_and_the_upload_is_drained_and_then_stopped() {
    let backend = Backend::h2(|mut call| async move {
        call.respond(&[("grpc-status", "8"), ("grpc-message", "enough")], true);
        call.wait_reset().await;
    })
    .await;
    let path = Path::to(&backend).await;
    // The backend's answer, and one of ours.
    for (id, code) in [("rainbow", 8), ("nobody", 5)] {
        let request = Caller::request("/s/m", &[("client-id", id)]);
        let mut call = path.caller.send(request, false).await;
        assert!(call.headers().await);
        // More than any window: it is read, or this would wait for ever; until nobody reads it any more.
        let mut sent = 0;
        let stopped = async {
            while call.try_data(&[0; 16 * 1024], false).await {
                sent += 16 * 1024;
                tokio::task::yield_now().await;
            }
        };
        within("the end of the upload", stopped).await;
        assert!(sent >= 64 * 1024, "stopped at once, after {sent}");
        let answer = call.answer().await;
        assert_eq!(answer.code(), Some(code), "{answer:?}");
        assert!(answer.trailers_only, "{answer:?}");
    }
    let ended = backend.call_ended(0).await;
    assert!(matches!(
        ended,
        Ended::Reset(Reason::CANCEL | Reason::NO_ERROR)
    ));
    // Nobody else was hurt.
    let answer = path.ask(&[]).await.answer().await;
    answer.is_backends(8);
}

#[tokio::test]
async fn our_mark_is_never_on_a_status_of_the_backends() {
    let backend = Backend::h2(|mut call| async move {
        let marks = [
            ("grpc-status", "14"),
            ("x-mux-error", "no-id"),
            ("x-mux-error-inner", "forged"),
            ("x-mux-hop", "1"),
            ("x-muxer", "kept"),
        ];
        if call.request.headers().contains_key("in-trailers") {
            call.respond(&marks[1..], false);
            call.trailers(&marks);
        } else {
            call.respond(&marks, true);
        }
    })
    .await;
    let path = Path::to(&backend).await;
    for metadata in [&[][..], &[("in-trailers", "")]] {
        let answer = path.ask(metadata).await.answer().await;
        answer.is_backends(14);
        assert_eq!(answer.ending("x-mux-error-inner"), Some("no-id"));
        assert_eq!(answer.ending("x-mux-hop"), None);
        assert_eq!(answer.ending("x-muxer"), Some("kept"));
        assert!(!answer.headers.contains_key("x-mux-error"));
        assert_eq!(answer.headers["x-mux-error-inner"], "no-id");
        assert_eq!(answer.error_info(), None);
    }
}

/// Other libraries are in docs/errors.md, as measured.
#[tokio::test]
async fn tonic_shows_our_status_wherever_a_response_is_cut() {
    let whole = b"\0\0\0\0\x02\x08\x01";
    for (bytes, messages) in [
        (&b""[..], 0),
        (whole, 1),
        (b"\0\0", 0),
        (&whole[..6], 0),
        (&[whole, &whole[..6]].concat(), 1),
    ] {
        let frames = [Frame::headers(0, &OK, false), Frame::data(0, bytes, false)];
        let backend = cut_after(frames.to_vec()).await;
        let path = Path::to(&backend).await;
        let channel = Endpoint::from_shared(format!("http://{}", path.mux.proxy)).unwrap();
        let mut health = HealthClient::new(channel.connect().await.unwrap());
        let mut request = tonic::Request::new(HealthCheckRequest::default());
        let id = "rainbow".parse().unwrap();
        request.metadata_mut().insert("client-id", id);
        let mut stream = health.watch(request).await.unwrap().into_inner();
        let mut came = 0;
        let cut = loop {
            match stream.message().await {
                Ok(Some(_)) => came += 1,
                Ok(None) => panic!("{bytes:?} is no clean end"),
                Err(status) => break status,
            }
        };
        assert_eq!(came, messages, "{bytes:?}");
        assert_eq!(cut.code(), tonic::Code::Unavailable, "{bytes:?}: {cut:?}");
        assert_eq!(cut.metadata().get("x-mux-error").unwrap(), "backend-lost");
    }
}

/// A backend that answers a call with these frames, which are of stream 0 there, and closes.
async fn cut_after(frames: Vec<Frame>) -> Backend {
    frame_backend(move |mut connection| {
        let mut frames = frames.clone();
        async move {
            let call = connection.wait_for(kind::HEADERS).await;
            frames.iter_mut().for_each(|f| f.stream = call.stream);
            connection.send_all(&frames).await;
            connection.close();
        }
    })
    .await
}
