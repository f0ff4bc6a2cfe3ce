//! Our own gRPC services: discovery, health and reflection, composed into one.

use std::sync::Arc;

use grpc_multiplexer_proto::FILE_DESCRIPTOR_SET;
use grpc_multiplexer_proto::v1::discovery_service_server::{
    DiscoveryServiceServer, SERVICE_NAME as DISCOVERY,
};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};
use tonic_reflection::server::Builder;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use crate::discovery::Discovery;
use crate::proxy::{OwnServices, Upload};
use crate::registry::Registry;

/// Says whether this server serves.
#[derive(Debug)]
pub(crate) struct Health(HealthReporter);

impl Health {
    /// Nothing new should come here.
    pub(crate) async fn not_serving(&self) {
        self.set(ServingStatus::NotServing).await;
    }

    async fn set(&self, status: ServingStatus) {
        // The empty name is the whole server.
        for service in ["", DISCOVERY] {
            self.0.set_service_status(service, status).await;
        }
    }
}

/// Largest message that our own services take. None of theirs is longer than a few names; and whoever begins a message and
/// does not end it holds that much.
const MESSAGE: usize = 64 * 1024;

/// All services, and the switch of the health service.
pub(crate) async fn own_services(
    registry: Arc<Registry>,
) -> Result<(OwnServices, Health), tonic_reflection::server::Error> {
    let (reporter, health) = health_reporter();
    let reporter = Health(reporter);
    reporter.set(ServingStatus::Serving).await;
    let reflection = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let discovery = DiscoveryServiceServer::new(Discovery::new(registry))
        .max_decoding_message_size(MESSAGE)
        .accept_compressed(Gzip)
        .send_compressed(Gzip);
    let routes = Routes::new(discovery)
        .add_service(
            health
                .max_decoding_message_size(MESSAGE)
                .accept_compressed(Gzip),
        )
        .add_service(reflection().build_v1()?.max_decoding_message_size(MESSAGE))
        .add_service(
            reflection()
                .build_v1alpha()?
                .max_decoding_message_size(MESSAGE),
        )
        .prepare();
    let service = ServiceExt::<Request<Upload>>::map_response(
        routes,
        |response: Response<tonic::body::Body>| {
            response.map(|body| body.map_err(Into::into).boxed_unsync())
        },
    );
    Ok((BoxCloneSyncService::new(service), reporter))
}
