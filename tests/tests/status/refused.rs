//! What the server answers by itself: requests that are no call to an edge. No backend sees any of them.

use std::fs;
use std::path::PathBuf;

use grpc_multiplexer_tests::{Answer, Backend, Caller, Path, errors_page, within};
use http::{Method, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A path whose backend answers whatever comes.
async fn path() -> (Path, Backend) {
    let backend = Backend::h2(|mut call| async move {
        call.read_all().await;
        call.ok(b"theirs").await;
    })
    .await;
    (Path::to(&backend).await, backend)
}

async fn answer(caller: &Caller, request: Request<()>) -> Answer {
    caller.send(request, true).await.answer().await
}

#[tokio::test]
async fn a_call_that_names_no_edge_is_told_what_is_wrong_with_its_id() {
    let (path, backend) = path().await;
    let long = "a".repeat(129);
    let bad = |id| {
        (
            vec![("client-id", id)],
            3,
            "mux: metadata 'client-id' is not a valid edge id",
            "bad-id",
        )
    };
    let many = "request needs only one element for metadata 'client-id'";
    for (metadata, code, message, reason) in [
        (
            vec![],
            3,
            "no metadata with key 'client-id' supplied",
            "no-id",
        ),
        (
            vec![("client-id", "rainbow"), ("client-id", "rainbow")],
            3,
            many,
            "many-ids",
        ),
        (
            vec![("client-id", "rainbow"), ("client-id", "")],
            3,
            many,
            "many-ids",
        ),
        bad(""),
        bad(&long),
        bad("a,b"),
        bad("rain bow"),
        bad("-rainbow"),
        bad("rainbow/"),
        (
            vec![("client-id", "Rainbow")],
            5,
            "Client 'Rainbow' not registered",
            "unknown-edge",
        ),
        (
            vec![("client-id", &long[..128])],
            5,
            &format!("Client '{}' not registered", &long[..128]),
            "unknown-edge",
        ),
        // The name with an underscore is nobody's.
        (
            vec![("client_id", "rainbow")],
            3,
            "no metadata with key 'client-id' supplied",
            "no-id",
        ),
    ] {
        let answer = answer(&path.caller, Caller::request("/s/m", &metadata)).await;
        answer.is_ours(code, message, reason, "no");
        assert!(answer.trailers_only, "{answer:?}");
    }
    assert_eq!(backend.seen(), []);
}

#[tokio::test]
async fn a_path_that_is_not_service_and_method_is_unimplemented() {
    let (path, backend) = path().await;
    for uri in [
        "//s/m", "/s", "/s/", "/a/../m", "/./m", "/s/m/", "/s/m?q", "/",
    ] {
        let request = Caller::request(uri, &[("client-id", "rainbow")]);
        let answer = answer(&path.caller, request).await;
        answer.is_ours(12, "mux: malformed method name", "bad-path", "no");
    }
    assert_eq!(backend.seen(), []);
}

#[tokio::test]
async fn a_malformed_timeout_is_refused() {
    let (path, backend) = path().await;
    let one = |timeout| vec![("client-id", "rainbow"), ("grpc-timeout", timeout)];
    let two = [one("5S"), vec![("grpc-timeout", "5S")]].concat();
    for metadata in [
        one(""),
        one("5"),
        one("S"),
        one("1s"),
        one("-1S"),
        one("1.5S"),
        one("123456789S"),
        two,
    ] {
        let answer = answer(&path.caller, Caller::request("/s/m", &metadata)).await;
        let message = "mux: metadata 'grpc-timeout' is not a valid timeout";
        answer.is_ours(3, message, "bad-timeout", "no");
    }
    assert_eq!(backend.seen(), []);
}

#[tokio::test]
async fn the_longest_timeout_of_each_unit_passes() {
    let (path, backend) = path().await;
    let timeouts = ["H", "M", "S", "m"].map(|unit| format!("99999999{unit}"));
    for timeout in &timeouts {
        let answer = path.ask(&[("grpc-timeout", timeout)]).await.answer().await;
        answer.is_backends(0);
    }
    for seen in backend.seen() {
        let left = seen.headers["grpc-timeout"].to_str().unwrap();
        let (digits, unit) = left.split_at(left.len() - 1);
        assert!((1..=8).contains(&digits.len()), "{left}");
        assert!("HMSm".contains(unit), "{left}");
    }
}

/// Asserts an answer in plain HTTP.
#[track_caller]
fn is_plain(answer: &Answer, status: u16, body: &str, reason: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.body, body.as_bytes(), "{answer:?}");
    assert_eq!(answer.headers["content-type"], "text/plain");
    assert_eq!(answer.headers["x-mux-error"], reason);
    assert!(!answer.headers.contains_key("grpc-status"), "{answer:?}");
    assert_eq!(answer.code(), None, "{answer:?}");
    assert_eq!(answer.reset, None, "{answer:?}");
}

#[tokio::test]
async fn what_is_not_post_or_not_grpc_is_answered_in_plain_http() {
    let (path, backend) = path().await;
    let request = |method: Method, content_type: Option<&str>| {
        let mut request = Caller::request("/s/m", &[("client-id", "rainbow")]);
        *request.method_mut() = method;
        let headers = request.headers_mut();
        headers.remove("content-type");
        if let Some(content_type) = content_type {
            headers.insert("content-type", content_type.parse().unwrap());
        }
        request
    };
    for method in [Method::GET, Method::PUT, Method::OPTIONS] {
        // The method comes before the content type.
        for content_type in [None, Some("application/grpc")] {
            let answer = answer(&path.caller, request(method.clone(), content_type)).await;
            is_plain(&answer, 405, "POST required\n", "not-post");
            assert_eq!(answer.headers["allow"], "POST");
        }
    }
    for content_type in [
        None,
        Some("application/json"),
        Some("application/grpc-web"),
        Some("application/grpcx"),
    ] {
        let answer = answer(&path.caller, request(Method::POST, content_type)).await;
        is_plain(&answer, 415, "grpc required\n", "not-grpc");
    }
    assert_eq!(backend.seen(), []);
}

#[tokio::test]
async fn http_1_is_told_that_grpc_requires_http_2() {
    let (path, backend) = path().await;
    for request in [
        "GET / HTTP/1.1\r\nhost: mux\r\n\r\n",
        "PRI * HTTP/1.1\r\nhost: mux\r\n\r\n",
        "POST /s/m HTTP/1.0\r\ncontent-length: 4\r\n\r\nbody",
    ] {
        let mut socket = TcpStream::connect(path.mux.proxy).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        within("the answer", socket.read_to_string(&mut answer))
            .await
            .unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 505 "), "{answer:?}");
        assert!(head.contains("\r\nconnection: close"), "{answer:?}");
        let length = format!("\r\ncontent-length: {}\r\n", body.len());
        assert!(head.contains(&length), "{answer:?}");
        assert!(body.starts_with("gRPC requires HTTP/2\n"), "{answer:?}");
    }
    assert_eq!(backend.seen(), []);
}

/// What metadata of these names and values weighs, with the three entries that every call of these tests has.
fn metadata_of(bytes: usize) -> String {
    let given = [
        ("content-type", 16_usize),
        ("te", 8),
        ("client-id", 7),
        ("k", 0),
    ];
    let given: usize = given.iter().map(|(name, n)| name.len() + n + 32).sum();
    "v".repeat(bytes - given)
}

#[tokio::test]
async fn metadata_over_the_limit_is_refused_and_at_the_limit_passes() {
    let (path, backend) = path().await;
    let entries = |n: usize| vec![("k", "v"); n - 3];
    let (over, at) = (metadata_of(16 * 1024 + 1), metadata_of(16 * 1024));
    for metadata in [vec![("k", over.as_str())], entries(101)] {
        let answer = path.ask(&metadata).await.answer().await;
        answer.is_ours(8, "mux: metadata too large", "metadata", "no");
    }
    assert_eq!(backend.seen(), []);
    for metadata in [vec![("k", at.as_str())], entries(100)] {
        let answer = path.ask(&metadata).await.answer().await;
        answer.is_backends(0);
    }
}

#[tokio::test]
async fn metadata_beyond_reading_costs_only_its_own_call() {
    let (path, backend) = path().await;
    let huge = "v".repeat(70 * 1024);
    let mut bystander = path.start(&[]).await;
    let answer = path.ask(&[("k", &huge)]).await.answer().await;
    assert_eq!(answer.status, 431, "{answer:?}");
    assert_eq!(answer.mux_error(), None, "it is the HTTP layer that speaks");
    bystander.data(b"mine", true).await;
    bystander.answer().await.is_backends(0);
    assert_eq!(backend.seen().len(), 1);
}

#[tokio::test]
async fn trailers_of_a_request_are_metadata_too() {
    let (path, backend) = path().await;
    let trailers = |entries: &[(&'static str, &str)]| {
        entries
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect::<http::HeaderMap>()
    };
    let big = "v".repeat(17 * 1024);
    let mut call = path.start(&[]).await;
    call.data(b"body", false).await;
    call.sender()
        .send_trailers(trailers(&[("k", &big)]))
        .unwrap();
    let answer = call.answer().await;
    answer.is_ours(8, "mux: metadata too large", "metadata", "maybe");
    let mut call = path.start(&[]).await;
    let entries = [("k", "v"), ("x-mux-error", "forged"), ("client-id", "a")];
    call.sender().send_trailers(trailers(&entries)).unwrap();
    call.answer().await.is_backends(0);
    assert_eq!(backend.seen()[1].trailers, trailers(&[("k", "v")]));
}

/// An empty message.
const EMPTY: &[u8] = &[0; 5];

#[tokio::test]
async fn discovery_needs_no_id_and_ignores_one() {
    let (path, backend) = path().await;
    let list = "/grpc.multiplexer.v1.DiscoveryService/ListGRPCServer";
    for metadata in [vec![], vec![("client-id", "nobody")]] {
        let answer = path.caller.call(list, &metadata, EMPTY).await;
        answer.is_backends(0);
        assert!(answer.body[5..].starts_with(b"\x0a\x07rainbow"));
    }
    assert_eq!(backend.seen(), []);
}

#[tokio::test]
async fn health_is_the_servers_without_an_id_and_the_backends_with_one() {
    let (path, backend) = path().await;
    let check = "/grpc.health.v1.Health/Check";
    let ours = path.caller.call(check, &[], EMPTY).await;
    ours.is_backends(0);
    assert_eq!(&ours.body[5..], b"\x08\x01", "SERVING");
    assert_eq!(backend.seen(), []);
    // A service of that name is not the server's. That it was asked, and not the backend, is in the mark.
    let other = [&[0, 0, 0, 0, 7, 0x0a, 5][..], b"other"].concat();
    let other = path.caller.call(check, &[], &other).await;
    other.is_ours(5, "service not registered", "own-service", "no");
    assert_eq!(backend.seen(), []);
    let theirs = [("client-id", "rainbow")];
    let theirs = path.caller.call(check, &theirs, EMPTY).await;
    assert_eq!(theirs.body, b"theirs");
    assert_eq!(backend.seen()[0].path, check);
}

/// All that is in the files of a folder, and of those in it.
fn texts(folder: &std::path::Path) -> String {
    let within = fs::read_dir(folder).unwrap();
    let text = |path: PathBuf| match path.is_dir() {
        true => texts(&path),
        false => fs::read_to_string(path).unwrap(),
    };
    within.map(|entry| text(entry.unwrap().path())).collect()
}

#[test]
fn every_line_of_the_page_of_errors_is_met_by_a_test() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
    let tests = texts(folder.as_ref());
    for row in errors_page() {
        // Nobody knows how to bring about `internal`; a slow watcher sees a reset, in `discovery`, and a slow caller
        // one after five minutes.
        if ["internal", "slow-watcher", "slow-caller"].contains(&row.reason) {
            continue;
        }
        let named = tests.contains(&format!("\"{}\"", row.reason));
        assert!(named, "no test in {folder} meets {row:?}");
    }
}
