//! Callers that came to the wrong listener, or without TLS: every call is told how it should have come.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::Request;
use tokio::net::TcpStream;

use super::check;
use super::reply::Reply;
use super::rescue::Failure;
use crate::greet::in_time;
use crate::limits::MetadataLimits;
use crate::rewind::Rewind;

/// Calls that one connection may make to learn it.
const CALLS: u32 = 8;
/// Largest header list that is read.
const HEADER_LIST: u32 = 64 * 1024;

/// Answers the calls of one connection, for as long as `limit`, and hangs up.
pub(crate) async fn send_away(
    socket: Rewind<TcpStream>,
    why: &Failure,
    limit: Duration,
) -> io::Result<()> {
    in_time(limit, async {
        let handshake = h2::server::Builder::new()
            .max_concurrent_streams(CALLS)
            .max_header_list_size(HEADER_LIST)
            .handshake(socket);
        let mut connection = handshake.await.map_err(io::Error::other)?;
        for _ in 0..CALLS {
            match connection.accept().await {
                Some(call) => answer(call.map_err(io::Error::other)?, why),
                None => return Ok(()),
            }
        }
        connection.graceful_shutdown();
        while let Some(call) = connection.accept().await {
            answer(call.map_err(io::Error::other)?, why);
        }
        Ok(())
    })
    .await
}

fn answer((request, respond): (Request<RecvStream>, SendResponse<Bytes>), why: &Failure) {
    let (head, _body) = request.into_parts();
    // What is no gRPC call would not understand a status.
    let checked = check::request(&head, MetadataLimits::default());
    let failure = match &checked {
        Err(failure @ (Failure::NotGrpc | Failure::NotPost)) => failure,
        _ => why,
    };
    // A caller that is gone needs no answer.
    let _ = Reply::new(respond).fail(failure);
}
