//! How a lane begins: a stream of the tunnel, a preface, and the backend's SETTINGS.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use grpc_multiplexer_tunnel::message::{Code, open::Kind};
use grpc_multiplexer_tunnel::{OpenError, Session, StreamEnd};
use h2::client::{Connection, SendRequest};
use tokio::time::{Instant, timeout_at};

use super::task::word_of_end;
use super::{Lane, LaneTask};
use crate::edge::resets::Resets;
use crate::edge::sniff::{FirstFrame, Sniffed, Sniffer};
use crate::edge::tolerance::Tolerance;
use crate::guard::{Floods, FrameGuard};
use crate::windows::{DATA_FRAME_BUDGET, FRAME_SIZE, Holdings, SEND_BUFFER, STREAM_WINDOW};

/// Largest header list that is read at all. Our own limit is far lower; this one must be so high that too large a list
/// fails its call: h2 ends the lane at four times this, and drops what is over it from trailers without a word.
const HEADER_LIST: u32 = 4 * 1024 * 1024;

/// Why no lane could be opened: nothing of a call reached the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DialFailure {
    Refused,
    Dns,
    Tls,
    Alpn,
    NotHttp2,
    Timeout,
    /// The tunnel is gone, or the edge would not serve the stream.
    Unprocessed,
}

impl Lane {
    /// Opens a stream for the lane, and waits until the backend spoke HTTP/2 on it.
    pub(crate) async fn open(
        session: &Session,
        endpoint_id: u32,
        dial_timeout: Duration,
        resets: &Arc<Resets>,
        floods: &Arc<Floods>,
    ) -> Result<(Arc<Self>, LaneTask), DialFailure> {
        let started = Instant::now();
        let stream = session
            .open(Kind::H2, endpoint_id, dial_timeout)
            .await
            .map_err(dial_failure)?;
        let peer = stream.peer_end();
        let (io, sniffed) = Sniffer::new(stream);
        // One limit for all that the backend has to do.
        let greet = timeout_at(started + dial_timeout, greet(io, &sniffed, floods));
        let (sender, connection, tolerance) = match greet.await {
            Ok(Ok(greeted)) => greeted,
            // The tunnel went, and the backend is not to blame.
            _ if session.is_closed() => return Err(DialFailure::Unprocessed),
            // A tunnel's streams show their end before the tunnel shows its own. An edge of the original's says nothing.
            Ok(Err(DialFailure::Refused))
                if !session.is_legacy()
                    && word_of_end(&peer, session).await == Some(StreamEnd::TunnelLost) =>
            {
                return Err(DialFailure::Unprocessed);
            }
            Ok(Err(failure)) => return Err(failure),
            Err(_) => return Err(DialFailure::Timeout),
        };
        let lane = Arc::new(Self::new(sender, tolerance, Arc::clone(resets)));
        let task = LaneTask::new(Arc::clone(&lane), connection, session.clone(), peer);
        Ok((lane, task))
    }
}

fn dial_failure(error: OpenError) -> DialFailure {
    match error {
        OpenError::Timeout(_) => DialFailure::Timeout,
        OpenError::Refused { code, .. } => match code {
            Code::BackendRefused => DialFailure::Refused,
            Code::BackendDns => DialFailure::Dns,
            Code::BackendTls => DialFailure::Tls,
            Code::BackendAlpn => DialFailure::Alpn,
            Code::BackendTimeout => DialFailure::Timeout,
            _ => DialFailure::Unprocessed,
        },
        _ => DialFailure::Unprocessed,
    }
}

type H2 = (
    SendRequest<Bytes>,
    Connection<FrameGuard<Sniffer>, Bytes>,
    Tolerance,
);

/// Says our preface, and waits for the backend's.
async fn greet(io: Sniffer, sniffed: &Sniffed, floods: &Arc<Floods>) -> Result<H2, DialFailure> {
    let not_http2 = |_: h2::Error| match sniffed.get() {
        None | Some(FirstFrame::Settings(_)) => DialFailure::Refused,
        Some(FirstFrame::NotHttp2) => DialFailure::NotHttp2,
    };
    let (sender, mut connection) = h2::client::Builder::new()
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(Holdings::default().target(STREAM_WINDOW))
        .max_frame_size(FRAME_SIZE)
        .max_header_list_size(HEADER_LIST)
        .max_send_buffer_size(SEND_BUFFER)
        .data_frame_budget(DATA_FRAME_BUDGET)
        // What is still under way when we reset a stream is not the backend's fault, and is thrown away while the reset
        // is remembered. A longer memory costs 370 bytes per cancelled call: a tenth of the process after ten thousand.
        // A straggler past it costs one more reset and a place in a count that ends the lane at 1,024, hence none.
        .max_concurrent_reset_streams(100_000)
        .reset_stream_duration(Duration::from_secs(1))
        .max_local_error_reset_streams(None)
        .handshake(FrameGuard::of_backend(io, Arc::clone(floods)))
        .await
        .map_err(not_http2)?;
    let tolerance = poll_fn(|cx| {
        let over = Pin::new(&mut connection).poll(cx);
        match (sniffed.get(), over) {
            (Some(FirstFrame::Settings(tolerance)), Poll::Pending) => Poll::Ready(Ok(*tolerance)),
            (Some(FirstFrame::NotHttp2), _) => Poll::Ready(Err(DialFailure::NotHttp2)),
            (_, Poll::Ready(Err(error))) => Poll::Ready(Err(not_http2(error))),
            (_, Poll::Ready(Ok(()))) => Poll::Ready(Err(DialFailure::Refused)),
            (None, Poll::Pending) => Poll::Pending,
        }
    })
    .await?;
    Ok((sender, connection, tolerance))
}
