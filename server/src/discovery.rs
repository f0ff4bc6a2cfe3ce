//! The discovery service: registry snapshots and changes, as the public API shows them.
//!
//! A caller with a policy sees its own part of them, and nothing by which it could tell that there is more.

mod view;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;
use grpc_multiplexer_proto::v1::discovery_service_server::DiscoveryService;
use grpc_multiplexer_proto::v1::watch_grpc_server_response::Event as Kind;
use grpc_multiplexer_proto::v1::{
    ListGrpcServerRequest, ListGrpcServerResponse, WatchGrpcServerRequest, WatchGrpcServerResponse,
};
use grpc_multiplexer_tunnel::ClientId;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status};

use crate::policy::Rights;
use crate::proxy::{CutOff, Failure};
use crate::registry::{Change, Event, Registry, Sessions, Subscription};
use view::View;

#[derive(Debug)]
pub(crate) struct Discovery {
    registry: Arc<Registry>,
}

impl Discovery {
    pub(crate) fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }
}

#[tonic::async_trait]
impl DiscoveryService for Discovery {
    async fn list_grpc_server(
        &self,
        request: Request<ListGrpcServerRequest>,
    ) -> Result<Response<ListGrpcServerResponse>, Status> {
        let rights = rights(&request);
        let request = request.into_inner();
        refuse_set("filter", &request.filter)?;
        let snapshot = self.registry.snapshot().seen_by(&rights);
        let view = View::of(&self.registry, &rights, &snapshot);
        let (page, next_page_token) = page(&snapshot.edges, &request)?;
        Ok(Response::new(ListGrpcServerResponse {
            servers: page
                .iter()
                .map(|edge| edge.client_id().to_string())
                .collect(),
            edges: if request.details {
                page.iter().filter_map(|edge| view.describe(edge)).collect()
            } else {
                Vec::new()
            },
            next_page_token,
            revision: view.mark(snapshot.revision),
        }))
    }

    type WatchGRPCServerStream = Watch;

    /// The subscription is live when this returns, so when the response's headers leave.
    async fn watch_grpc_server(
        &self,
        request: Request<WatchGrpcServerRequest>,
    ) -> Result<Response<Watch>, Status> {
        let rights = rights(&request);
        let request = request.into_inner();
        refuse_set("filter", &request.filter)?;
        refuse_set("resume_after", &request.resume_after)?;
        let extended = request.snapshot || request.details;
        let Subscription {
            snapshot,
            changes,
            cut,
        } = self
            .registry
            .watch(extended, rights.clone())
            .map_err(|_| status(&Failure::TooManyWatchers))?;
        let mut response = Response::new(Watch {
            view: View::of(&self.registry, &rights, &snapshot),
            snapshot: request.snapshot.then(|| snapshot.edges.into_iter()),
            snapshot_revision: snapshot.revision,
            changes,
            extended,
            details: request.details,
        });
        response.extensions_mut().insert(CutOff(cut));
        Ok(response)
    }
}

/// What the caller may.
fn rights<T>(request: &Request<T>) -> Rights {
    let rights = request.extensions().get::<Rights>();
    rights.expect("who calls is known before").clone()
}

/// A failure of ours as tonic carries it.
fn status(failure: &Failure) -> Status {
    Status::from_header_map(&failure.trailers()).expect("trailers of ours have a status")
}

fn refuse_set(field: &'static str, value: &str) -> Result<(), Status> {
    if value.is_empty() {
        Ok(())
    } else {
        Err(status(&Failure::UnsupportedField(field)))
    }
}

/// The page that a request asks for, and the token of the next one: the last id of this.
fn page<'a>(
    edges: &'a [Arc<Sessions>],
    request: &ListGrpcServerRequest,
) -> Result<(&'a [Arc<Sessions>], String), Status> {
    let rest = if request.page_token.is_empty() {
        edges
    } else {
        let after: ClientId = request
            .page_token
            .parse()
            .map_err(|_| status(&Failure::BadPageToken))?;
        &edges[edges.partition_point(|edge| *edge.client_id() <= after)..]
    };
    let size = match usize::try_from(request.page_size) {
        Ok(0) | Err(_) => rest.len(),
        Ok(size) => size.min(rest.len()),
    };
    let page = &rest[..size];
    let next = match page.last() {
        Some(last) if size < rest.len() => last.client_id().to_string(),
        _ => String::new(),
    };
    Ok((page, next))
}

/// The events of one watcher. Dropped, it frees its place.
#[derive(Debug)]
pub(crate) struct Watch {
    /// What is left of the snapshot; `None` once it was sent, or was not asked for.
    snapshot: Option<std::vec::IntoIter<Arc<Sessions>>>,
    snapshot_revision: u64,
    changes: mpsc::Receiver<Change>,
    /// Whether the watcher set a field, and so knows more than the original's events.
    extended: bool,
    details: bool,
    view: View,
}

impl Watch {
    fn event(
        &self,
        server: String,
        event: Kind,
        edge: Option<&Sessions>,
        revision: u64,
    ) -> WatchGrpcServerResponse {
        WatchGrpcServerResponse {
            server,
            event: event.into(),
            revision: if self.extended {
                self.view.mark(revision)
            } else {
                String::new()
            },
            edge: edge
                .filter(|_| self.details)
                .and_then(|edge| self.view.describe(edge)),
            reason: String::new(),
        }
    }

    fn next_of_snapshot(&mut self) -> Option<WatchGrpcServerResponse> {
        let edge = self.snapshot.as_mut()?.next();
        let revision = self.snapshot_revision;
        Some(match edge {
            Some(edge) => {
                let id = edge.client_id().to_string();
                self.event(id, Kind::Connected, Some(&edge), revision)
            }
            None => {
                self.snapshot = None;
                self.event(String::new(), Kind::SnapshotEnd, None, revision)
            }
        })
    }
}

impl Stream for Watch {
    type Item = Result<WatchGrpcServerResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(event) = self.next_of_snapshot() {
            return Poll::Ready(Some(Ok(event)));
        }
        self.changes.poll_recv(cx).map(|change| {
            Some(match change {
                Some(change) => {
                    self.view.changes(&change);
                    let (kind, edge, reason) = match &change.event {
                        Event::Connected(edge) => (Kind::Connected, Some(&**edge), None),
                        Event::Updated(edge) => (Kind::Updated, Some(&**edge), None),
                        Event::Disconnected(reason) => (Kind::Disconnected, None, reason.as_ref()),
                    };
                    let id = change.client_id.to_string();
                    let reason = reason.filter(|_| self.extended);
                    Ok(WatchGrpcServerResponse {
                        reason: reason.map(ToString::to_string).unwrap_or_default(),
                        ..self.event(id, kind, edge, change.revision)
                    })
                }
                // The registry lets go of a watcher only when its queue is full.
                None => Err(status(&Failure::SlowWatcher)),
            })
        })
    }
}
