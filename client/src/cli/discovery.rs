//! The discovery service of a proxy, as its caller.

use std::sync::Arc;

use grpc_multiplexer_proto::v1::discovery_service_client::DiscoveryServiceClient;
use grpc_multiplexer_proto::v1::{
    Edge, ListGrpcServerRequest, WatchGrpcServerRequest, WatchGrpcServerResponse,
};
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};

use super::channel::{LIMIT, calls};
use super::place::Place;
use super::status::{Origin, Trouble, in_words, origin};

/// Edges per page: a page of thousands would be longer than a message may be.
const PAGE: u32 = 1000;
/// Pages at most: a list must end, whatever the server says.
const PAGES: usize = 1000;

/// Every edge, sorted by client id.
pub(super) async fn list(proxy: &Arc<Place>) -> Result<Vec<Edge>, Trouble> {
    let mut discovery = DiscoveryServiceClient::new(calls(proxy, None));
    let mut edges = Vec::new();
    let mut request = ListGrpcServerRequest {
        page_size: PAGE,
        details: true,
        ..ListGrpcServerRequest::default()
    };
    for _ in 0..PAGES {
        let page = answer(proxy, discovery.list_grpc_server(request.clone())).await?;
        // A server that knows no details gives names only.
        if page.edges.is_empty() {
            edges.extend(page.servers.into_iter().map(named));
        } else {
            edges.extend(page.edges);
        }
        if page.next_page_token.is_empty() {
            return Ok(edges);
        }
        request.page_token = page.next_page_token;
    }
    Err(Trouble::new(
        format!("{proxy} lists edges without end"),
        "is it a grpc-multiplexer-server, and is it well?",
    ))
}

fn named(client_id: String) -> Edge {
    Edge {
        client_id,
        ..Edge::default()
    }
}

/// Every edge that is there, and then every change.
pub(super) async fn watch(
    proxy: &Arc<Place>,
) -> Result<Streaming<WatchGrpcServerResponse>, Trouble> {
    let request = WatchGrpcServerRequest {
        snapshot: true,
        details: true,
        ..WatchGrpcServerRequest::default()
    };
    let mut discovery = DiscoveryServiceClient::new(calls(proxy, None));
    answer(proxy, discovery.watch_grpc_server(request)).await
}

async fn answer<T>(
    proxy: &Place,
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Trouble> {
    match timeout(LIMIT, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(no_answer(proxy, &status)),
        Err(_) => Err(Trouble::new(
            format!("{proxy} does not answer within {LIMIT:?}"),
            "is it a grpc-multiplexer-server, and is it well?",
        )),
    }
}

fn no_answer(proxy: &Place, status: &Status) -> Trouble {
    // A reason of the multiplexer says it better, such as which port is the right one.
    if let Origin::Multiplexer(_) = origin(status) {
        return Trouble::of(status);
    }
    if status.code() == Code::Unimplemented {
        return Trouble::new(
            format!("what listens on {proxy} is a gRPC server, but no grpc-multiplexer-server"),
            "give the address of the server's --proxy-listener as --proxy-address",
        );
    }
    Trouble::new(
        format!("{proxy} cannot tell its edges: {}", in_words(status)),
        "is it a grpc-multiplexer-server, and is it well?",
    )
}
