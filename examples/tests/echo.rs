//! What `echo.proto` promises, called directly: tests through a tunnel lean on it.
#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::time::Duration;

use bytes::Bytes;
use grpc_multiplexer_examples::echo::echo_service_client::EchoServiceClient;
use grpc_multiplexer_examples::echo::{
    BidiStreamRequest, ClientStreamRequest, CountCancelledRequest, EchoRequest, ServerStreamRequest,
};
use grpc_multiplexer_examples::{Echo, routes};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tonic::codec::CompressionEncoding;
use tonic::metadata::{KeyAndValueRef, MetadataMap, MetadataValue};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

/// A backend of its own for each test, gone with the set of tasks.
async fn backend() -> (EchoServiceClient<Channel>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let routes = routes(Echo::default()).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let incoming = TcpIncoming::from(listener);
        let server = Server::builder().add_routes(routes);
        server.serve_with_incoming(incoming).await.unwrap();
    });
    let channel = Endpoint::from_shared(address).unwrap();
    let stub = EchoServiceClient::new(channel.connect().await.unwrap())
        .max_decoding_message_size(usize::MAX)
        .max_encoding_message_size(usize::MAX);
    (stub, tasks)
}

#[tokio::test]
async fn all_four_kinds_answer_what_they_were_asked() {
    let (mut stub, _tasks) = backend().await;
    let answer = stub.echo(ask("one")).await.unwrap().into_inner();
    assert_eq!(answer.text, "one");

    let request = ServerStreamRequest {
        text: "again".to_owned(),
        count: 3,
        ..Default::default()
    };
    let mut answers = stub.server_stream(request).await.unwrap().into_inner();
    for index in 0..3 {
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!((answer.text.as_str(), answer.index), ("again", index));
    }
    assert_eq!(answers.message().await.unwrap(), None);

    let messages = ["a", "b"].map(|text| ClientStreamRequest {
        text: text.to_owned(),
        payload: Bytes::from_static(b"four"),
        ..Default::default()
    });
    let sum = stub.client_stream(futures::stream::iter(messages));
    let sum = sum.await.unwrap().into_inner();
    assert_eq!(
        (sum.text.as_str(), sum.messages, sum.total_bytes),
        ("a,b", 2, 8)
    );

    let messages = ["x", "y"].map(|text| BidiStreamRequest {
        text: text.to_owned(),
        ..Default::default()
    });
    let answers = stub.bidi_stream(futures::stream::iter(messages));
    let mut answers = answers.await.unwrap().into_inner();
    for text in ["x", "y"] {
        assert_eq!(answers.message().await.unwrap().unwrap().text, text);
    }
    assert_eq!(answers.message().await.unwrap(), None);
}

#[tokio::test]
async fn metadata_comes_back_in_headers_and_trailers() {
    let (mut stub, _tasks) = backend().await;
    let mut request = Request::new(ServerStreamRequest::default());
    fill(request.metadata_mut(), "echo-");
    fill(request.metadata_mut(), "echo-trailer-");
    let mut answers = stub.server_stream(request).await.unwrap();
    assert_eq!(echoed(answers.metadata()), filled("echo-"));
    let trailers = answers.get_mut().trailers().await.unwrap().unwrap();
    assert_eq!(echoed(&trailers), filled("echo-trailer-"));
}

#[tokio::test]
async fn an_error_has_its_details_and_its_metadata() {
    let (mut stub, _tasks) = backend().await;
    let mut request = Request::new(EchoRequest {
        status_code: 9,
        status_message: "not now".to_owned(),
        ..ask("why")
    });
    fill(request.metadata_mut(), "echo-trailer-");
    let status = stub.echo(request).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::FailedPrecondition, "not now")
    );
    let details = status.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!(
        (info.reason.as_str(), info.metadata["text"].as_str()),
        ("ASKED_FOR", "why")
    );
    let violations = &details.bad_request().unwrap().field_violations;
    assert_eq!(violations[0].field, "status_code");
    assert_eq!(echoed(status.metadata()), filled("echo-trailer-"));
}

#[tokio::test]
async fn gzip_is_answered_with_gzip_only() {
    let (mut stub, _tasks) = backend().await;
    let both = stub.clone().accept_compressed(CompressionEncoding::Gzip);
    let plain = both.clone().echo(ask("squeeze")).await.unwrap();
    assert_eq!(plain.metadata().get("grpc-encoding"), None);
    let gzip = both
        .send_compressed(CompressionEncoding::Gzip)
        .echo(ask("squeeze"))
        .await
        .unwrap();
    assert_eq!(gzip.metadata().get("grpc-encoding").unwrap(), "gzip");
    assert_eq!(gzip.into_inner().text, "squeeze");
    assert_eq!(count_cancelled(&mut stub, "").await, 0);
}

#[tokio::test]
async fn calls_given_up_are_counted_by_their_text() {
    let (mut stub, _tasks) = backend().await;
    let asleep = |text: &str| EchoRequest {
        delay: Some(prost_types::Duration {
            seconds: 60,
            nanos: 0,
        }),
        ..ask(text)
    };
    timeout(Duration::from_millis(200), stub.echo(asleep("cancelled")))
        .await
        .unwrap_err();
    let mut late = Request::new(asleep("late"));
    late.set_timeout(Duration::from_millis(200));
    stub.echo(late).await.unwrap_err();
    for (text, expected) in [("cancelled", 1), ("late", 1), ("", 2)] {
        until_counted(&mut stub, text, expected).await;
    }
}

async fn until_counted(stub: &mut EchoServiceClient<Channel>, text: &str, expected: u64) {
    let counted = async {
        while count_cancelled(stub, text).await != expected {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(5), counted)
        .await
        .unwrap_or_else(|_| panic!("{expected} calls with the text {text:?} never counted"));
}

async fn count_cancelled(stub: &mut EchoServiceClient<Channel>, text: &str) -> u64 {
    let request = CountCancelledRequest {
        text: text.to_owned(),
    };
    stub.count_cancelled(request)
        .await
        .unwrap()
        .into_inner()
        .count
}

fn ask(text: &str) -> EchoRequest {
    EchoRequest {
        text: text.to_owned(),
        ..Default::default()
    }
}

fn fill(metadata: &mut MetadataMap, prefix: &str) {
    for value in ["2", "1"] {
        let key = format!("{prefix}order");
        metadata.append(
            key.parse::<tonic::metadata::AsciiMetadataKey>().unwrap(),
            value.parse().unwrap(),
        );
    }
    let key = format!("{prefix}raw-bin");
    metadata.insert_bin(
        key.parse::<tonic::metadata::BinaryMetadataKey>().unwrap(),
        MetadataValue::from_bytes(b"\0\xff"),
    );
}

fn filled(prefix: &str) -> Vec<(String, Vec<u8>)> {
    let mut expected = MetadataMap::new();
    fill(&mut expected, prefix);
    echoed(&expected)
}

fn echoed(metadata: &MetadataMap) -> Vec<(String, Vec<u8>)> {
    let mut entries: Vec<_> = metadata
        .iter()
        .map(|entry| match entry {
            KeyAndValueRef::Ascii(key, value) => (key.to_string(), value.as_bytes().to_vec()),
            KeyAndValueRef::Binary(key, value) => {
                (key.to_string(), value.to_bytes().unwrap().to_vec())
            }
        })
        .filter(|(key, _)| key.starts_with("echo-"))
        .collect();
    // Stable: keys in any order, values of one key in theirs.
    entries.sort_by(|one, other| one.0.cmp(&other.0));
    entries
}
