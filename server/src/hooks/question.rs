//! The questions that there are.

use std::future::Future;

use grpc_multiplexer_proto::hooks::v1::hooks_service_client::HooksServiceClient;
use grpc_multiplexer_proto::hooks::v1::{
    AuthorizeRequest, AuthorizeResponse, ConnectedRequest, ConnectedResponse, DisconnectedRequest,
    DisconnectedResponse,
};
use prost::Message;
use tonic::transport::Channel;
use tonic::{Response, Status};

/// A way to a hook that speaks gRPC.
pub(super) type Client = HooksServiceClient<Channel>;

/// A question that can be put in every way.
pub(super) trait Question: Message + Sized {
    type Answer: Message + Default;
    /// What its message and that of its answer begin with.
    const NAME: &'static str;

    fn ask(
        self,
        client: Client,
    ) -> impl Future<Output = Result<Response<Self::Answer>, Status>> + Send;
}

impl Question for AuthorizeRequest {
    type Answer = AuthorizeResponse;
    const NAME: &'static str = "Authorize";

    async fn ask(self, mut client: Client) -> Result<Response<AuthorizeResponse>, Status> {
        client.authorize(self).await
    }
}

impl Question for ConnectedRequest {
    type Answer = ConnectedResponse;
    const NAME: &'static str = "Connected";

    async fn ask(self, mut client: Client) -> Result<Response<ConnectedResponse>, Status> {
        client.connected(self).await
    }
}

impl Question for DisconnectedRequest {
    type Answer = DisconnectedResponse;
    const NAME: &'static str = "Disconnected";

    async fn ask(self, mut client: Client) -> Result<Response<DisconnectedResponse>, Status> {
        client.disconnected(self).await
    }
}
