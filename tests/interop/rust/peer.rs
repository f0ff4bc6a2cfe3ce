//! Whom to call: connections and stubs.

use grpc_multiplexer_proto::testing::test_service_client::TestServiceClient;
use grpc_multiplexer_proto::testing::unimplemented_service_client::UnimplementedServiceClient;
use http::{HeaderValue, Request, Response};
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint, Error};
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

use crate::flags::Flags;

pub(crate) type Connection = BoxCloneSyncService<Request<Body>, Response<Body>, Error>;
pub(crate) type Stub = TestServiceClient<Connection>;

/// A backend, called directly or by way of its edge's id.
#[derive(Debug)]
pub(crate) struct Peer {
    endpoint: Endpoint,
    client_id: Option<HeaderValue>,
    /// What [`Peer::stub`] calls on; it connects with the first call.
    shared: Channel,
}

impl Peer {
    /// An empty client id calls without one.
    pub(crate) fn new(address: &str, client_id: &str) -> anyhow::Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        Ok(Self {
            shared: endpoint.connect_lazy(),
            endpoint,
            client_id: (!client_id.is_empty())
                .then(|| client_id.parse())
                .transpose()?,
        })
    }

    /// A stub on the shared connection.
    pub(crate) fn stub(&self) -> Stub {
        self.watched_stub(&Flags::default())
    }

    /// A stub on a connection of its own.
    pub(crate) fn separate_stub(&self) -> Stub {
        let own = self.endpoint.connect_lazy();
        TestServiceClient::new(self.connection(own, &Flags::default()))
    }

    /// A stub on the shared connection that notes which answers come compressed.
    pub(crate) fn watched_stub(&self, flags: &Flags) -> Stub {
        TestServiceClient::new(self.connection(self.shared.clone(), flags))
    }

    /// A stub of the service that no backend has.
    pub(crate) fn unimplemented_stub(&self) -> UnimplementedServiceClient<Connection> {
        let shared = self.shared.clone();
        UnimplementedServiceClient::new(self.connection(shared, &Flags::default()))
    }

    fn connection(&self, channel: Channel, flags: &Flags) -> Connection {
        let (client_id, flags) = (self.client_id.clone(), flags.clone());
        let routed = channel.map_request(move |mut request: Request<Body>| {
            if let Some(id) = &client_id {
                request.headers_mut().insert("client-id", id.clone());
            }
            request
        });
        BoxCloneSyncService::new(
            routed.map_response(move |response| response.map(|body| flags.watch(body))),
        )
    }
}
