//! What any backend may serve: whether it is reached at all, health, reflection, and how long an answer takes.

use serde_json::json;
use tokio::time::Instant;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use super::ToEdge;
use super::report::Found;
use crate::cli::listed::milliseconds;
use crate::cli::output::harmless;
use crate::cli::status::{Origin, Trouble, in_words, name, origin};

/// A method that no backend has.
const NO_METHOD: &str = "/grpc.multiplexer.check.v1.CheckService/NoSuchMethod";
/// Both generations of reflection have the same messages.
const REFLECTION: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];
/// Calls whose time is taken.
const CALLS: usize = 10;
/// Names of services that are shown at most.
const NAMES: usize = 8;

/// Whether calls come as far as the backend: whatever it says, it is there.
pub(super) async fn reached(edge: &ToEdge) -> Result<Found, Trouble> {
    let answer = call_no_method(edge).await;
    match (origin(&answer), answer.code()) {
        (Origin::Backend, Code::Unimplemented) => Ok(Found::ok(
            "it answers UNIMPLEMENTED to a method that it does not have",
        )),
        (Origin::Backend, _) => Ok(Found::ok(format!("it answers {}", in_words(&answer)))),
        _ => Err(answer.into()),
    }
}

/// The status of a call to a method that the backend does not have.
async fn call_no_method(edge: &ToEdge) -> Status {
    let mut grpc = Grpc::new(edge.clone());
    if let Err(error) = grpc.ready().await {
        return Status::from_error(Box::new(error));
    }
    let path = PathAndQuery::from_static(NO_METHOD);
    match grpc
        .unary(Request::new(()), path, ProstCodec::<(), ()>::default())
        .await
    {
        Ok(_) => Status::ok(""),
        Err(status) => status,
    }
}

/// Whether the backend says that it serves.
pub(super) async fn health(edge: &ToEdge) -> Result<Found, Trouble> {
    let mut health = HealthClient::new(edge.clone());
    match health.check(HealthCheckRequest::default()).await {
        Ok(answer) => match answer.into_inner().status() {
            ServingStatus::Serving => Ok(Found::ok("the backend says SERVING")),
            other => Err(Trouble::new(
                format!("the backend says {}", other.as_str_name()),
                "it may be starting or going away; its log may say why",
            )),
        },
        Err(status) => not_served(&status, "grpc.health.v1.Health"),
    }
}

/// Which services the backend has.
pub(super) async fn reflection(edge: &ToEdge) -> Result<Found, Trouble> {
    let [v1, v1alpha] = REFLECTION;
    let listed = match services(edge, v1).await {
        Err(status) if is_unserved(&status) => services(edge, v1alpha).await,
        listed => listed,
    };
    match listed {
        Ok(services) => {
            let shown = services.iter().take(NAMES);
            let mut shown: Vec<_> = shown.map(|name| harmless(name)).collect();
            if let Some(more @ 1..) = services.len().checked_sub(NAMES) {
                shown.push(format!("{more} more"));
            }
            Ok(Found::Ok {
                text: format!("{} services: {}", services.len(), shown.join(", ")),
                values: json!({ "services": services }),
            })
        }
        Err(status) => not_served(&status, "reflection"),
    }
}

async fn services(edge: &ToEdge, path: &'static str) -> Result<Vec<String>, Status> {
    let mut grpc = Grpc::new(edge.clone());
    grpc.ready()
        .await
        .map_err(|error| Status::from_error(Box::new(error)))?;
    let ask = ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..ServerReflectionRequest::default()
    };
    let codec = ProstCodec::<ServerReflectionRequest, ServerReflectionResponse>::default();
    let request = Request::new(futures::stream::once(async { ask }));
    let path = PathAndQuery::from_static(path);
    let mut answers = grpc.streaming(request, path, codec).await?.into_inner();
    let answer = answers.message().await?;
    match answer.and_then(|answer| answer.message_response) {
        Some(MessageResponse::ListServicesResponse(list)) => {
            let services = list.service.into_iter();
            Ok(services.map(|service| service.name).collect())
        }
        _ => Err(Status::unknown(
            "its answer to a question for services is none",
        )),
    }
}

/// How long a call takes from here to the backend and back.
pub(super) async fn latency(edge: &ToEdge) -> Result<Found, Trouble> {
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let started = Instant::now();
        let answer = call_no_method(edge).await;
        if origin(&answer) != Origin::Backend {
            return Err(answer.into());
        }
        times.push(started.elapsed());
    }
    times.sort_unstable();
    let (least, median) = (times[0], times[CALLS / 2]);
    Ok(Found::Ok {
        text: format!(
            "{} median, {} at least, of {CALLS} calls",
            milliseconds(median),
            milliseconds(least)
        ),
        values: json!({
            "calls": CALLS,
            "min_seconds": least.as_secs_f64(),
            "median_seconds": median.as_secs_f64(),
        }),
    })
}

/// The backend itself has no such service.
pub(super) fn is_unserved(status: &Status) -> bool {
    status.code() == Code::Unimplemented && origin(status) == Origin::Backend
}

fn not_served(status: &Status, service: &str) -> Result<Found, Trouble> {
    if is_unserved(status) {
        return Ok(Found::skipped(format!(
            "the backend does not serve {service}"
        )));
    }
    let is_permission = matches!(
        status.code(),
        Code::Unauthenticated | Code::PermissionDenied
    );
    if is_permission && origin(status) == Origin::Backend {
        let code = name(status.code());
        return Ok(Found::skipped(format!("the backend answers {code}")));
    }
    Err(Trouble::of(status))
}
