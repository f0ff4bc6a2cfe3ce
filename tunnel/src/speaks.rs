//! What the other end speaks when it is no tunnel, by its first bytes: so that a mistaken address is called that.

use std::fmt;

/// A protocol that is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Speaks {
    /// HTTP/1.
    Http1,
    /// HTTP/2 as a server speaks it: SETTINGS first.
    Http2,
    /// TLS, or an alert that refuses what is none.
    Tls,
}

/// Bytes that are enough to tell.
pub(crate) const FIRST_BYTES: usize = 9;
/// Types of TLS records that a server begins with. *Source:* RFC 8446, section 5.1.
const TLS_RECORDS: [u8; 2] = [0x15, 0x16];
const TLS_MAJOR_VERSION: u8 = 3;
/// Type of an HTTP/2 frame. *Source:* RFC 9113, section 6.5.
const SETTINGS: u8 = 4;

impl Speaks {
    /// What a server that says `first` speaks, where it is none of ours.
    #[must_use]
    pub fn of_server(first: &[u8]) -> Option<Self> {
        match first {
            [b'H', b'T', b'T', b'P', b'/', ..] => Some(Self::Http1),
            [record, TLS_MAJOR_VERSION, ..] if TLS_RECORDS.contains(record) => Some(Self::Tls),
            [0, _, _, SETTINGS, 0, 0, 0, 0, 0, ..] => Some(Self::Http2),
            _ => None,
        }
    }
}

/// Whether a server that says `first` may be of the original program: that one takes a stream or answers a ping as soon as
/// it accepted, and sends no ping of its own for half a minute. Ours pings before anything else.
///
/// *Source:* hashicorp/yamux, `AcceptStream` and `keepalive`; libp2p's yamux, `Rtt`.
pub(crate) fn may_be_originals(first: &[u8]) -> bool {
    const PING_BEGINS: [u8; 4] = [0, 2, 0, 1];
    first.len() >= PING_BEGINS.len() && first[0] == 0 && !first.starts_with(&PING_BEGINS)
}

impl fmt::Display for Speaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1 => "HTTP/1",
            Self::Http2 => "HTTP/2",
            Self::Tls => "TLS",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_known_by_its_first_bytes() {
        for (first, speaks) in [
            (&b"HTTP/1.1 400 Bad Request"[..], Some(Speaks::Http1)),
            (&[0x15, 3, 1, 0, 2, 2, 70], Some(Speaks::Tls)),
            (&[0, 0, 18, 4, 0, 0, 0, 0, 0, 0], Some(Speaks::Http2)),
            // yamux: data, a window's update, a ping, and the answer to one.
            (&[0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9], None),
            (&[0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0], None),
            (&[0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], None),
            (&[0, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0], None),
            (b"", None),
            (b"SSH-2.0-OpenSSH", None),
        ] {
            assert_eq!(Speaks::of_server(first), speaks, "{first:?}");
        }
    }

    #[test]
    fn a_server_of_the_originals_shows_itself_and_ours_does_too() {
        for (first, may_be) in [
            // The answer to a ping, and a stream that was taken.
            (&[0, 2, 0, 2, 0, 0, 0, 0, 0][..], true),
            (&[0, 1, 0, 2, 0, 0, 0, 1, 0], true),
            // A ping.
            (&[0, 2, 0, 1, 0, 0, 0, 0, 0], false),
            (&[0, 2], false),
            (b"", false),
            (b"SSH-2.0-O", false),
        ] {
            assert_eq!(may_be_originals(first), may_be, "{first:?}");
        }
    }
}
