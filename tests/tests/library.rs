//! Server and edge as libraries: made from what a program has in hand, and a gRPC server that is its own edge.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

use std::net::SocketAddr;

use futures::StreamExt as _;
use grpc_multiplexer_client::{Backend, CLIENT_ID_METADATA_KEY, Edge, EdgeEnd, EdgeIncoming};
use grpc_multiplexer_examples::echo::BidiStreamRequest;
use grpc_multiplexer_examples::echo::echo_service_client::EchoServiceClient;
use grpc_multiplexer_examples::{Echo, routes};
use grpc_multiplexer_server::Server;
use grpc_multiplexer_tests::{self as tests, Caller, Mux, until, within};
use http::Response;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;

const ID: (&str, &str) = (CLIENT_ID_METADATA_KEY, "rainbow");

/// What runs until it is told to stop. Aborted when dropped.
struct Running<T> {
    task: JoinSet<T>,
    stop: CancellationToken,
}

impl<T: Send + 'static> Running<T> {
    fn start<F>(work: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = T> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let mut task = JoinSet::new();
        task.spawn(work(stop.clone()));
        Self { task, stop }
    }

    /// Waits for its own end.
    async fn ended(&mut self) -> T {
        let ended = within("the end of a task", self.task.join_next()).await;
        ended.unwrap().unwrap()
    }
}

/// Runs an edge `rainbow` for whoever serves what it gives, and waits until it is listed.
async fn in_process(mux: &Mux) -> (Running<EdgeEnd>, EdgeIncoming) {
    let (backend, incoming) = Backend::in_process();
    let edge = Edge::new("rainbow".parse().unwrap(), backend, mux.multiplexer.into());
    let edge = Running::start(|stop| edge.run(stop));
    until("the edge is listed", async || {
        (mux.listed().await == ["rainbow"]).then_some(())
    })
    .await;
    (edge, incoming)
}

#[tokio::test]
async fn an_in_process_server_sees_calls_as_any_backend_does() {
    let mux = Mux::start().await;
    let (_edge, mut incoming) = in_process(&mux).await;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let stream = incoming.next().await.unwrap().unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            let mut answer = Response::new(());
            let headers = answer.headers_mut();
            headers.insert("grpc-status", "0".parse().unwrap());
            headers.insert("x-seen", request.uri().to_string().parse().unwrap());
            respond.send_response(answer, true).unwrap();
        }
    });
    let caller = Caller::connect(mux.proxy).await;
    let answer = caller.call("/s/m", &[ID], b"").await;
    assert_eq!(answer.code(), Some(0), "{answer:?}");
    assert_eq!(answer.ending("x-seen"), Some("http://localhost/s/m"));
}

#[tokio::test]
async fn a_stop_lets_a_call_finish_and_ends_edge_and_server() {
    let mux = Mux::start().await;
    let (mut edge, incoming) = in_process(&mux).await;
    let services = routes(Echo::default()).await.unwrap();
    let mut server = tonic::transport::Server::builder();
    let server = server.add_routes(services);
    let mut serving = Running::start(|_| server.serve_with_incoming(incoming));

    let channel = Endpoint::from_shared(format!("http://{}", mux.proxy)).unwrap();
    let mut stub = EchoServiceClient::new(channel.connect().await.unwrap());
    let (messages, upload) = mpsc::channel(1);
    let mut request = tonic::Request::new(ReceiverStream::new(upload));
    let id = "rainbow".parse().unwrap();
    request.metadata_mut().insert(CLIENT_ID_METADATA_KEY, id);
    let mut answers = stub.bidi_stream(request).await.unwrap().into_inner();
    for text in ["before", "after"] {
        let message = BidiStreamRequest {
            text: text.to_owned(),
            ..BidiStreamRequest::default()
        };
        messages.send(message).await.unwrap();
        let answer = within("an answer", answers.message()).await.unwrap();
        assert_eq!(answer.unwrap().text, text);
        edge.stop.cancel();
        until("the edge is no longer listed", async || {
            mux.listed().await.is_empty().then_some(())
        })
        .await;
    }
    drop(messages);
    assert_eq!(answers.message().await.unwrap(), None);
    edge.ended().await;
    serving.ended().await.unwrap();
}

#[tokio::test]
async fn an_in_process_server_that_ended_is_a_backend_that_is_not_there() {
    let mux = Mux::start().await;
    let (_edge, incoming) = in_process(&mux).await;
    drop(incoming);
    let caller = Caller::connect(mux.proxy).await;
    let answer = caller.call("/s/m", &[ID], b"").await;
    answer.is_ours(
        14,
        "mux: backend of edge 'rainbow' unreachable (refused)",
        "backend-connect",
        "no",
    );
}

/// A server on free ports, where callers call, and where edges dial in.
async fn server() -> (Server, SocketAddr, SocketAddr) {
    let listen = async || TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (callers, edges) = (listen().await, listen().await);
    let proxy = callers.local_addr().unwrap();
    let multiplexer = edges.local_addr().unwrap();
    (Server::new(callers, edges), proxy, multiplexer)
}

/// The binary, in front of a backend that is not there.
fn edge(multiplexer: SocketAddr) -> tests::Edge {
    tests::Edge::dialling(multiplexer, "rainbow", "localhost:1", &[])
}

#[tokio::test]
async fn a_server_from_two_listeners_takes_the_binarys_edges() {
    let (server, proxy, multiplexer) = server().await;
    assert_eq!(server.proxy_addresses(), proxy.to_string());
    assert_eq!(server.multiplexer_addresses(), multiplexer.to_string());
    let mut server = Running::start(|stop| server.run(stop));

    let edge = edge(multiplexer);
    edge.says(" connected ").await;
    let answer = Caller::connect(proxy).await.call("/s/m", &[ID], b"").await;
    assert_eq!(answer.ending("x-mux-error"), Some("backend-connect"));

    server.stop.cancel();
    server.ended().await.unwrap();
    edge.says("tunnel lost").await;
}

#[tokio::test]
async fn a_server_whose_run_is_dropped_leaves_nothing_open() {
    let (server, proxy, multiplexer) = server().await;
    let running = Running::start(|stop| server.run(stop));
    let edge = edge(multiplexer);
    edge.says(" connected ").await;
    let caller = Caller::connect(proxy).await;
    // A call that would never end by itself.
    let watch = "/grpc.multiplexer.v1.DiscoveryService/WatchGRPCServer";
    let mut watch = caller.start(watch, &[]).await;
    watch.data(&[0; 5], true).await;
    assert!(watch.headers().await);
    drop(running);
    edge.says("tunnel lost").await;
    let cut = watch.answer().await;
    assert!(cut.error.is_some() || cut.code() == Some(14), "{cut:?}");
}
