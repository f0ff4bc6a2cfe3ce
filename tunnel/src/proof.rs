//! What an edge signs to prove that it has a key.
//!
//! An edge names its key in the hello, the server answers with a nonce that it never used before, and the edge signs that
//! together with what both ends know of the way between them. With TLS that is what the two ends of one TLS connection have
//! in common, and nobody else: who stands in between has a connection with each of them, so a proof that is passed on is of
//! the wrong one. Plain text has nothing of the kind, and what is signed says so: neither is ever taken for the other.
//!
//! Only the bytes are here. Whoever signs them, and whoever checks that, brings the arithmetic.

use std::fmt;

/// What a credential is called in a hello that is an Ed25519 key: its `data` are the 32 bytes of the public key. The server
/// asks for a proof then.
pub const KEY_SCHEME: &str = "ed25519";

/// Begins all that is signed, so that a signature is good for nothing else, and none of anything else is good here. The
/// form of what follows changes with its number only.
const PURPOSE: &[u8] = b"grpc-multiplexer edge proof 1\0";

/// What a tunnel runs over.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub enum Channel {
    /// Plain text.
    #[default]
    Plain,
    /// TLS, of which this is the channel binding `tls-exporter`. *Source:* RFC 9266.
    Tls([u8; 32]),
}

impl Channel {
    /// What an edge signs over this channel to answer a challenge.
    #[must_use]
    pub fn to_sign(&self, nonce: &[u8]) -> Vec<u8> {
        match self {
            Self::Plain => [PURPOSE, b"\0", nonce].concat(),
            Self::Tls(binding) => [PURPOSE, b"\x01", binding, nonce].concat(),
        }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Tls(_) => "Tls",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes are the protocol's: other edges and servers make the same.
    #[test]
    fn what_is_signed_is_pinned() {
        let plain = b"grpc-multiplexer edge proof 1\0\0nonce";
        assert_eq!(Channel::Plain.to_sign(b"nonce"), plain);
        let mut tls = b"grpc-multiplexer edge proof 1\0\x01".to_vec();
        tls.extend([7; 32]);
        tls.extend(b"nonce");
        assert_eq!(Channel::Tls([7; 32]).to_sign(b"nonce"), tls);
    }

    /// Also where the nonce is chosen for it: the byte behind the purpose tells the channel.
    #[test]
    fn no_two_channels_or_nonces_sign_the_same() {
        let binding = [7; 32];
        let forged = [&[1], &binding[..], b"nonce"].concat();
        let channels = [Channel::Plain, Channel::Tls(binding), Channel::Tls([8; 32])];
        let nonces = [&b""[..], b"nonce", b"nonce2", &forged];
        let mut signed: Vec<_> = channels
            .iter()
            .flat_map(|channel| nonces.map(|nonce| channel.to_sign(nonce)))
            .collect();
        signed.sort();
        signed.dedup();
        assert_eq!(signed.len(), channels.len() * nonces.len());
    }

    #[test]
    fn a_binding_is_not_shown() {
        assert_eq!(format!("{:?}", Channel::Tls([7; 32])), "Tls");
    }
}
