//! TLS: from the files that options name to what speaks it, on listeners and towards whoever is dialled.
//!
//! The files are read with the options, so one that cannot be used is a mistake like any other: at the start it is told
//! with all others, and later everything stays as it was. A connection takes what is in force when it begins, and keeps
//! it.
//!
//! Nothing is resumed: each connection shows anew who it is, so that what was revoked stays out, and one that is idle keeps
//! no tickets.

mod dial;
mod expiry;
mod identity;
mod listener;
mod pem;
mod rows;

use std::io;
use std::sync::Arc;

use rustls::SupportedProtocolVersion;
use rustls::crypto::{CryptoProvider, ring};
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

pub(crate) use expiry::{Certificate, Certificates, REMIND};

pub use dial::{DialTerms, server_name};
pub use listener::{AcceptError, ListenerTerms, ListenerTls};

/// The first byte of what somebody says who speaks TLS: a record that holds a handshake message, as a ClientHello is.
pub const TLS_HANDSHAKE: u8 = 0x16;
/// What to say to whom speaks TLS where there is none: a record with a fatal alert, handshake_failure. *Source:* RFC 8446,
/// sections 5.1 and 6.2.
pub const NO_TLS: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 40];

/// Ends a connection so that the other side reads what was said last: closing with unread bytes would reset it.
///
/// # Errors
///
/// When the other side was faster.
pub async fn hang_up(mut io: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    io.shutdown().await?;
    let mut rest = vec![0; 4096];
    for _ in 0..64 {
        if io.read(&mut rest).await? == 0 {
            break;
        }
    }
    Ok(())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn versions(tls12: bool) -> &'static [&'static SupportedProtocolVersion] {
    static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
    if tls12 { &BOTH } else { &BOTH[..1] }
}
