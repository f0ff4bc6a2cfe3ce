//! `check`: calls to one edge, step by step, and what is wrong.
//!
//! The first steps are the way to the backend, in the order in which a call goes; where one fails, the later ones are
//! skipped. The others each look at one thing that the backend may or may not serve.

mod backend;
mod interop;
mod report;

use grpc_multiplexer_process::HostPort;
use grpc_multiplexer_tunnel::ClientId;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::channel::{channel, dial, greet};
use super::output::{End, Output, harmless};
use super::status::Trouble;
use super::{discovery, listed};
use crate::CLIENT_ID_METADATA_KEY;
use report::{Found, Report};

/// Calls to the edge.
type ToEdge = InterceptedService<Channel, Named>;

/// Names the edge in each call.
#[derive(Debug, Clone)]
struct Named(MetadataValue<Ascii>);

impl Interceptor for Named {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let id = self.0.clone();
        request.metadata_mut().insert(CLIENT_ID_METADATA_KEY, id);
        Ok(request)
    }
}

/// Makes the calls and prints what came of each. Returns whether nothing is wrong.
pub(super) async fn check(proxy: &HostPort, id: &ClientId, output: &Output) -> Result<bool, End> {
    output.tell(&format!("edge '{id}' through {proxy}\n"))?;
    let name = id.as_str().parse().expect("an id is printable ASCII");
    let edge = InterceptedService::new(channel(proxy), Named(name));
    let mut report = Report::new(output);

    report.needed("connect", tcp(proxy)).await?;
    report.needed("http2", http2(proxy)).await?;
    report.needed("discovery", registered(proxy, id)).await?;
    report.needed("backend", backend::reached(&edge)).await?;

    report.step("health", backend::health(&edge)).await?;
    report
        .step("reflection", backend::reflection(&edge))
        .await?;
    report.step("latency", backend::latency(&edge)).await?;
    interop::all(&mut report, &edge).await?;
    report.end()
}

async fn tcp(proxy: &HostPort) -> Result<Found, Trouble> {
    let socket = dial(proxy).await?;
    Ok(match socket.peer_addr() {
        Ok(address) => Found::ok(format!("{address} takes connections")),
        Err(_) => Found::ok("it takes connections"),
    })
}

async fn http2(proxy: &HostPort) -> Result<Found, Trouble> {
    greet(proxy).await?;
    Ok(Found::ok("HTTP/2 is spoken there"))
}

/// Whether the server knows the edge.
async fn registered(proxy: &HostPort, id: &ClientId) -> Result<Found, Trouble> {
    let edges = discovery::list(proxy).await?;
    let id = id.as_str();
    if let Some(edge) = edges.iter().find(|edge| edge.client_id == id) {
        let phrase = listed::phrase(edge);
        return Ok(Found::ok(
            format!("the edge is connected {phrase}").trim_end(),
        ));
    }
    let others = match edges.len() {
        1 => "1 other edge is".to_owned(),
        others => format!("{others} others are"),
    };
    let alike = edges
        .iter()
        .find(|edge| edge.client_id.eq_ignore_ascii_case(id));
    let advice = match alike {
        Some(edge) => format!("did you mean '{}'?", harmless(&edge.client_id)),
        None => format!(
            "start `grpc-multiplexer-client --client-id {id}` beside its gRPC server; if it runs, its log says why it \
             has no tunnel"
        ),
    };
    let what = format!("no edge '{id}' is connected ({others})");
    Err(Trouble::new(what, advice))
}
