//! The I/O under a lane: a tunnel stream that looks at the backend's first frame.
//!
//! Whatever speaks HTTP/2 says SETTINGS first. Anything else at the backend's address (an HTTP/1.1 server, a TLS
//! server without TLS at the edge) is found here, before a call was written, and so proven unprocessed. What the
//! SETTINGS say tells what the backend bears of resets.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use grpc_multiplexer_tunnel::{Speaks, TunnelStream};

use super::tolerance::Tolerance;

const FRAME_HEADER: usize = 9;
/// So much of the SETTINGS is looked at: sixteen of them. Those of a known backend are fewer.
const SETTINGS: usize = 16 * 6;

/// What the backend said first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum FirstFrame {
    Settings(Tolerance),
    NotHttp2,
}

/// Shared view of what the backend said first, once it did.
pub(crate) type Sniffed = Arc<OnceLock<FirstFrame>>;

#[derive(Debug)]
pub(crate) struct Sniffer {
    stream: TunnelStream,
    seen: Option<Vec<u8>>,
    verdict: Sniffed,
}

impl Sniffer {
    pub(crate) fn new(stream: TunnelStream) -> (Self, Sniffed) {
        let verdict = Sniffed::default();
        let sniffer = Self {
            stream,
            seen: Some(Vec::with_capacity(FRAME_HEADER)),
            verdict: Arc::clone(&verdict),
        };
        (sniffer, verdict)
    }

    fn look(&mut self, bytes: &[u8]) {
        let Some(seen) = &mut self.seen else { return };
        seen.extend(bytes.iter().take(FRAME_HEADER + SETTINGS - seen.len()));
        if let Some(verdict) = first_frame(seen) {
            // Only the first verdict is ever reached.
            let _ = self.verdict.set(verdict);
            self.seen = None;
        }
    }
}

/// What the first bytes begin; `None` while they may begin SETTINGS. Many a TLS alert is shorter than a header.
fn first_frame(seen: &[u8]) -> Option<FirstFrame> {
    match seen {
        [first, ..] if *first != 0 => Some(FirstFrame::NotHttp2),
        _ if seen.len() < FRAME_HEADER => None,
        _ if Speaks::of_server(seen) != Some(Speaks::Http2) => Some(FirstFrame::NotHttp2),
        [_, high, low, ..] => {
            let length = usize::from(u16::from_be_bytes([*high, *low])).min(SETTINGS);
            let payload = seen.get(FRAME_HEADER..FRAME_HEADER + length)?;
            Some(FirstFrame::Settings(Tolerance::of_settings(payload)))
        }
        _ => None,
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
    use super::*;

    #[test]
    fn only_settings_pass() {
        for (seen, settings) in [
            (&[0, 0, 0, 4, 0, 0, 0, 0, 0][..], Some(true)),
            (&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0], Some(true)),
            (b"HTTP/1.1 ", Some(false)),
            (b"H", Some(false)),
            (&[0x15, 3, 3, 0, 2, 2, 70], Some(false)),
            // An acknowledgement.
            (&[0, 0, 0, 4, 1, 0, 0, 0, 0], Some(false)),
            (&[0, 0, 0, 4], None),
            (&[0, 0, 6, 4, 0, 0, 0, 0, 0], None),
            (&[], None),
        ] {
            let said = first_frame(seen).map(|frame| matches!(frame, FirstFrame::Settings(_)));
            assert_eq!(said, settings, "{seen:?}");
        }
    }

    #[test]
    fn settings_without_end_are_looked_at_so_far_and_no_further() {
        let mut seen = vec![0, 0x40, 0, 4, 0, 0, 0, 0, 0];
        seen.extend([0; SETTINGS - 1]);
        assert_eq!(first_frame(&seen), None);
        seen.push(0);
        assert!(first_frame(&seen).is_some());
    }
}
