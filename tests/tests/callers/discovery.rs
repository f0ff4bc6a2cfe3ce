//! What callers see of the edges that there are, with a stock client.

use grpc_multiplexer_proto::v1::watch_grpc_server_response::Event;
use grpc_multiplexer_proto::v1::{
    ListGrpcServerRequest, ListGrpcServerResponse, WatchGrpcServerRequest, WatchGrpcServerResponse,
};
use grpc_multiplexer_tests::{Edge, Mux, within};
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Streaming};

use crate::labels::labelled;
use crate::{BILLING, SUPPORT, bearer, labels, policy, server};

/// Where no backend is.
const NOWHERE: &str = "127.0.0.1:1";

fn with<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let token = MetadataValue::try_from(bearer(token)).unwrap();
    request.metadata_mut().insert("proxy-authorization", token);
    request
}

async fn edge(mux: &Mux, id: &str) -> Edge {
    let edge = Edge::dialling(mux.multiplexer, id, NOWHERE, &[]);
    edge.says(" connected ").await;
    edge
}

/// Without the round trips, which are others every time.
async fn list(mux: &Mux, token: &str, request: ListGrpcServerRequest) -> ListGrpcServerResponse {
    let mut discovery = mux.discovery().await;
    let listed = discovery.list_grpc_server(with(token, request));
    let mut listed = listed.await.unwrap().into_inner();
    listed
        .edges
        .iter_mut()
        .for_each(|edge| edge.heartbeat_rtt = None);
    listed
}

async fn watch(mux: &Mux, token: &str) -> Streaming<WatchGrpcServerResponse> {
    let request = WatchGrpcServerRequest {
        snapshot: true,
        details: true,
        ..WatchGrpcServerRequest::default()
    };
    let mut discovery = mux.discovery().await;
    let watch = discovery.watch_grpc_server(with(token, request));
    within("the watch's headers", watch)
        .await
        .unwrap()
        .into_inner()
}

async fn next(watch: &mut Streaming<WatchGrpcServerResponse>) -> (Event, String, String) {
    let event = within("an event", watch.message()).await.unwrap().unwrap();
    (event.event(), event.server, event.revision)
}

/// What becomes of an edge's labels is what becomes of the edge, for those who see it by them.
#[tokio::test]
async fn an_edge_comes_into_sight_with_a_label_and_goes_with_it() {
    let options = ["--duplicate-client-id", "balance"];
    let (mux, _folder) = server(&labels::policy(), &options).await;
    let request = || ListGrpcServerRequest {
        details: true,
        ..ListGrpcServerRequest::default()
    };
    let mut billing = watch(&mux, BILLING[0]).await;
    let mut support = watch(&mux, SUPPORT[0]).await;
    for watch in [&mut billing, &mut support] {
        assert_eq!(next(watch).await.0, Event::SnapshotEnd);
    }
    let _claims = labelled(&mux, "blue-1", NOWHERE, &["team=red"]).await;
    let red = ["team=red", "zone=north"];
    let mut first = labelled(&mux, "red-1", NOWHERE, &red).await;
    let listed = list(&mux, BILLING[0], request()).await;
    let [edge] = &listed.edges[..] else {
        panic!("{listed:?}")
    };
    let labels: Vec<_> = red
        .iter()
        .filter_map(|label| label.split_once('='))
        .collect();
    let said = labels
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    assert_eq!(edge.labels, said.collect());
    // Another edge of the name, that is not of the team; and then only that one.
    let _second = labelled(&mux, "red-1", NOWHERE, &["zone=north"]).await;
    assert!(list(&mux, BILLING[0], request()).await.servers.is_empty());
    first.kill().await;
    mux.says("edge disconnected").await;
    assert!(list(&mux, BILLING[0], request()).await.servers.is_empty());
    let _garden = labelled(&mux, "garden", NOWHERE, &[]).await;
    for (wanted, id) in [
        (Event::Connected, "red-1"),
        (Event::Disconnected, "red-1"),
        (Event::Connected, "garden"),
    ] {
        let (event, server, _) = next(&mut billing).await;
        assert_eq!((event, &*server), (wanted, id));
    }
    for (wanted, id) in [
        (Event::Connected, "blue-1"),
        (Event::Connected, "red-1"),
        (Event::Updated, "red-1"),
        (Event::Updated, "red-1"),
        (Event::Connected, "garden"),
    ] {
        let (event, server, _) = next(&mut support).await;
        assert_eq!((event, &*server), (wanted, id));
    }
}

#[tokio::test]
async fn discovery_needs_a_caller() {
    let (mux, _folder) = server(&policy(), &[]).await;
    let mut discovery = mux.discovery().await;
    let listed = discovery.list_grpc_server(ListGrpcServerRequest::default());
    assert_eq!(listed.await.unwrap_err().code(), Code::Unauthenticated);
    let watched = discovery.watch_grpc_server(WatchGrpcServerRequest::default());
    assert_eq!(watched.await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_list_has_what_its_caller_may_see_and_no_gaps() {
    let (mux, _folder) = server(&policy(), &[]).await;
    let mut edges = Vec::new();
    for id in ["attic", "garden", "hall", "rainbow", "yard"] {
        edges.push(edge(&mux, id).await);
    }
    let mut page = ListGrpcServerRequest {
        page_size: 1,
        ..ListGrpcServerRequest::default()
    };
    let first = list(&mux, BILLING[0], page.clone()).await;
    assert_eq!(first.servers, ["garden"]);
    page.page_token = first.next_page_token;
    let last = list(&mux, BILLING[0], page).await;
    assert_eq!(last.servers, ["rainbow"]);
    // Nor is there a page behind the last that is seen.
    assert_eq!(last.next_page_token, "");
    let all = list(&mux, SUPPORT[0], ListGrpcServerRequest::default()).await;
    assert_eq!(all.servers, ["attic", "garden", "hall", "rainbow", "yard"]);
}

/// Neither by an event, nor by a number that grows with each.
#[tokio::test]
async fn what_may_not_be_seen_comes_and_goes_unnoticed() {
    let (mux, _folder) = server(&policy(), &[]).await;
    let mut garden = edge(&mux, "garden").await;
    let details = || ListGrpcServerRequest {
        details: true,
        ..ListGrpcServerRequest::default()
    };
    let before = list(&mux, BILLING[0], details()).await;
    let mut billing = watch(&mux, BILLING[0]).await;
    let mut support = watch(&mux, SUPPORT[0]).await;
    for watch in [&mut billing, &mut support] {
        assert_eq!(next(watch).await.1, "garden");
        assert_eq!(next(watch).await.0, Event::SnapshotEnd);
    }
    let mut attic = edge(&mux, "attic").await;
    attic.kill().await;
    for wanted in [Event::Connected, Event::Disconnected] {
        let (event, id, _) = next(&mut support).await;
        assert_eq!((event, &*id), (wanted, "attic"));
    }
    let after = list(&mux, BILLING[0], details()).await;
    assert_eq!(after, before);
    garden.kill().await;
    let (event, id, gone) = next(&mut billing).await;
    assert_eq!((event, &*id), (Event::Disconnected, "garden"));
    let empty = list(&mux, BILLING[0], details()).await;
    assert_eq!(empty.revision, gone);
    assert_ne!(empty.revision, before.revision);
    // The same edges, the same mark.
    let _garden = edge(&mux, "garden").await;
    let (event, _, back) = next(&mut billing).await;
    assert_eq!((event, back), (Event::Connected, before.revision));
    let again = list(&mux, BILLING[0], details()).await;
    let [edge] = &again.edges[..] else {
        panic!("{again:?}")
    };
    assert!(edge.generation > before.edges[0].generation);
}
