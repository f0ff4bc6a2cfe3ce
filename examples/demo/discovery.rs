//! The edges, as the server's discovery API tells them.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use grpc_multiplexer_proto::v1::discovery_service_client::DiscoveryServiceClient;
use grpc_multiplexer_proto::v1::watch_grpc_server_response::Event;
use grpc_multiplexer_proto::v1::{
    Edge, ListGrpcServerRequest, WatchGrpcServerRequest, WatchGrpcServerResponse,
};
use tokio::time::timeout;
use tonic::Streaming;
use tonic::transport::Channel;

use crate::PATIENCE;

/// A stub of the discovery API with an open watch.
#[derive(Debug)]
pub(crate) struct Discovery {
    stub: DiscoveryServiceClient<Channel>,
    events: Streaming<WatchGrpcServerResponse>,
}

impl Discovery {
    /// Opens the watch. It sees every change from now on.
    pub(crate) async fn watch(channel: Channel) -> anyhow::Result<Self> {
        let mut stub = DiscoveryServiceClient::new(channel);
        let opened = stub.watch_grpc_server(WatchGrpcServerRequest::default());
        let events = timeout(PATIENCE, opened)
            .await
            .context("the watch does not open")??
            .into_inner();
        Ok(Self { stub, events })
    }

    /// The next event, which must be that this edge has connected.
    pub(crate) async fn connected(&mut self, client_id: &str) -> anyhow::Result<String> {
        let event = timeout(PATIENCE, self.events.message())
            .await
            .context("the watch shows no event")??
            .context("the watch ended")?;
        ensure!(
            event.event() == Event::Connected && event.server == client_id,
            "the watch shows {} {:?}, expected {} {client_id:?}",
            event.event().as_str_name(),
            event.server,
            Event::Connected.as_str_name(),
        );
        Ok(format!("{} {client_id}", event.event().as_str_name()))
    }

    /// A table of the edges, which must be this one.
    pub(crate) async fn list(&mut self, client_id: &str) -> anyhow::Result<String> {
        let request = ListGrpcServerRequest {
            details: true,
            ..Default::default()
        };
        let list = timeout(PATIENCE, self.stub.list_grpc_server(request))
            .await
            .context("the list does not come")??
            .into_inner();
        ensure!(
            list.servers == [client_id],
            "the list shows {:?}, expected {client_id:?}",
            list.servers
        );
        ensure!(
            list.edges.len() == 1,
            "the list has details of {} edges, expected 1",
            list.edges.len()
        );
        Ok(table(&list.edges[0]))
    }
}

fn table(edge: &Edge) -> String {
    let since = edge.connected_since.map(|it| it.to_string());
    let rtt = edge
        .heartbeat_rtt
        .and_then(|it| Duration::try_from(it).ok())
        .map(|it| format!("{it:.1?}"));
    let rows = [
        ("client id", Some(edge.client_id.clone())),
        ("version", Some(edge.version.clone())),
        ("connected since", since),
        ("generation", Some(edge.generation.to_string())),
        ("dialled from", Some(edge.remote_address.clone())),
        ("heartbeat RTT", rtt),
        ("calls in flight", Some(edge.calls_in_flight.to_string())),
    ];
    let mut table = String::new();
    for (name, value) in rows {
        let value = value.unwrap_or_else(|| "not known yet".to_owned());
        writeln!(table, "  {name:<17}{value}").expect("writing to a string never fails");
    }
    table.trim_end().to_owned()
}
