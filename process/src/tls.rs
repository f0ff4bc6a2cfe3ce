//! TLS: from the files that options name to what speaks it, on listeners and towards whoever is dialled.
//!
//! The files are read with the options, so one that cannot be used is a mistake like any other: at the start it is told
//! with all others, and later everything stays as it was. A connection takes what is in force when it begins, and keeps
//! it; only what the other side [showed](Shown) is looked at again.
//!
//! Nothing is resumed: each connection shows anew who it is, so that what was revoked stays out, and one that is idle keeps
//! no tickets.

mod binding;
mod dial;
mod expiry;
mod identity;
mod listener;
mod names;
mod pem;
mod rows;
mod shown;

use std::sync::Arc;

use rustls::SupportedProtocolVersion;
use rustls::crypto::{CryptoProvider, ring};
use rustls::version::{TLS12, TLS13};

pub(crate) use expiry::{Certificate, Certificates, REMIND};

pub use binding::channel_binding;
pub use dial::{DialTerms, DialTls, authorities_of, server_name};
pub use listener::{AcceptError, ListenerTerms, ListenerTls};
pub use names::CertificateNames;
pub use shown::Shown;

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn versions(tls12: bool) -> &'static [&'static SupportedProtocolVersion] {
    static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
    if tls12 { &BOTH } else { &BOTH[..1] }
}
