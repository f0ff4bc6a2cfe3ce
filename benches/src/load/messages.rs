//! Small messages, as a stock caller has them: tonic, one after the other.
//!
//! What is between the ends has them a whole frame at a time, and a caller that did the same would cost so little that the
//! rate is that of whoever is slowest. With most callers that is the caller.

use anyhow::ensure;
use http::uri::PathAndQuery;
use tokio::time::Instant;
use tonic::Request;
use tonic::client::Grpc;
use tonic::transport::Endpoint;

use super::call::PREFIX;
use super::connection::Target;
use super::stream::Flow;
use crate::backend::{Down, Raw, WINDOW};

/// Has the backend send messages until it ends by itself.
pub(crate) async fn messages(target: &Target, what: Down) -> anyhow::Result<Flow> {
    let endpoint = Endpoint::from_shared(format!("http://{}", target.address))?
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .tcp_nodelay(true);
    let mut caller = Grpc::new(endpoint.connect().await?);
    caller.ready().await?;
    let mut request = Request::new(what.written());
    let id = target.client_id.parse()?;
    request.metadata_mut().insert("client-id", id);
    let path = PathAndQuery::from_static("/bench.Bench/Down");
    let begin = Instant::now();
    let answer = caller.server_streaming(request, path, Raw).await?;
    let (mut stream, mut bytes) = (answer.into_inner(), 0);
    while let Some(message) = stream.message().await? {
        ensure!(
            message.len() == what.size as usize,
            "another message arrived"
        );
        bytes += (PREFIX + message.len()) as u64;
    }
    Ok(Flow::whole(begin.elapsed(), bytes))
}
