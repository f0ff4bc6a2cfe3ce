//! What the two ends of one TLS connection have in common, and nobody else.

use std::io;

use rustls::ConnectionCommon;

/// The channel binding `tls-exporter` of a connection whose handshake is over. Whoever ends TLS in between has two
/// connections, with a binding each. *Source:* RFC 9266, section 2.
///
/// # Errors
///
/// When the handshake is not over.
pub fn channel_binding<D>(connection: &ConnectionCommon<D>) -> io::Result<[u8; 32]> {
    const LABEL: &[u8] = b"EXPORTER-Channel-Binding";
    let exported = connection.export_keying_material([0; 32], LABEL, Some(b""));
    exported.map_err(io::Error::other)
}
