//! The I/O under a lane: a tunnel stream that looks at the backend's first frame.
//!
//! Whatever speaks HTTP/2 says SETTINGS first. Anything else at the backend's address (an HTTP/1.1 server, a TLS
//! server without TLS at the edge) is found here, before a call was written, and so proven unprocessed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use grpc_multiplexer_tunnel::{Speaks, TunnelStream};

const FRAME_HEADER: usize = 9;

/// What the backend said first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirstFrame {
    Nothing,
    Settings,
    NotHttp2,
}

/// Shared view of what the backend said first.
#[derive(Debug, Clone)]
pub(crate) struct Sniffed(Arc<AtomicU8>);

impl Sniffed {
    pub(crate) fn get(&self) -> FirstFrame {
        match self.0.load(Ordering::Relaxed) {
            1 => FirstFrame::Settings,
            2 => FirstFrame::NotHttp2,
            _ => FirstFrame::Nothing,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Sniffer {
    stream: TunnelStream,
    seen: Option<Vec<u8>>,
    verdict: Arc<AtomicU8>,
}

impl Sniffer {
    pub(crate) fn new(stream: TunnelStream) -> (Self, Sniffed) {
        let verdict = Arc::new(AtomicU8::new(0));
        let sniffer = Self {
            stream,
            seen: Some(Vec::with_capacity(FRAME_HEADER)),
            verdict: Arc::clone(&verdict),
        };
        (sniffer, Sniffed(verdict))
    }

    fn look(&mut self, bytes: &[u8]) {
        let Some(seen) = &mut self.seen else { return };
        seen.extend(bytes.iter().take(FRAME_HEADER - seen.len()));
        if let Some(settings) = is_settings(seen) {
            let verdict = if settings { 1 } else { 2 };
            self.verdict.store(verdict, Ordering::Relaxed);
            self.seen = None;
        }
    }
}

/// Whether a header begins SETTINGS; `None` while it may. Many a TLS alert is shorter than a header.
fn is_settings(seen: &[u8]) -> Option<bool> {
    match seen {
        [first, ..] if *first != 0 => Some(false),
        _ if seen.len() < FRAME_HEADER => None,
        _ => Some(Speaks::of_server(seen) == Some(Speaks::Http2)),
    }
}

impl AsyncRead for Sniffer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if self.seen.is_some() {
            self.look(&buffer.filled()[before..]);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Sniffer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::is_settings;

    #[test]
    fn only_settings_pass() {
        for (seen, settings) in [
            (&[0, 0, 18, 4, 0, 0, 0, 0, 0][..], Some(true)),
            (&[0, 0, 0, 4, 0, 0, 0, 0, 0], Some(true)),
            (b"HTTP/1.1 ", Some(false)),
            (b"H", Some(false)),
            (&[0x15, 3, 3, 0, 2, 2, 70], Some(false)),
            // An acknowledgement.
            (&[0, 0, 0, 4, 1, 0, 0, 0, 0], Some(false)),
            (&[0, 0, 0, 4], None),
            (&[], None),
        ] {
            assert_eq!(is_settings(seen), settings, "{seen:?}");
        }
    }
}
