//! What somebody showed who was let in, kept so that it can be looked at again: a certificate may be revoked, its authority
//! may be taken out, and it ends by itself.

use std::fmt;
use std::time::{Duration, SystemTime};

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CommonState, Error};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::listener::Trust;

/// The certificates that somebody showed on a listener; none for whoever showed none.
#[derive(Clone, Default)]
pub struct Shown {
    /// Its own first.
    chain: Vec<CertificateDer<'static>>,
    /// When the first of them ends, in seconds since 1970.
    end: Option<u64>,
    /// Which trust let it in.
    under: u64,
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shown").field(&self.chain.len()).finish()
    }
}

impl Shown {
    /// That of whoever is at the other end, whom `trust` let in.
    pub(super) fn of(peer: &CommonState, trust: &Trust) -> Self {
        let chain: Vec<_> = peer
            .peer_certificates()
            .unwrap_or_default()
            .iter()
            .map(|certificate| certificate.clone().into_owned())
            .collect();
        Self {
            end: chain
                .iter()
                .filter_map(|certificate| end(certificate))
                .min(),
            chain,
            under: trust.print(),
        }
    }

    /// How long it is good, as far as it says itself; `None` where it does not.
    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        // A certificate is good for the whole of its last second.
        let over = Duration::from_secs(self.end?.saturating_add(1));
        Some(over.saturating_sub(now()))
    }

    /// Whether `trust` would let in who shows this.
    pub(super) fn is_trusted(&self, trust: &Trust) -> Result<(), Error> {
        let has_ended = self.left().is_some_and(|left| left.is_zero());
        if self.under == trust.print() && !has_ended {
            return Ok(());
        }
        let Some((own, others)) = self.chain.split_first() else {
            return Err(Error::NoCertificatesPresented);
        };
        let verifier = trust.verifier();
        let verified = verifier.verify_client_cert(own, others, UnixTime::since_unix_epoch(now()));
        verified.map(drop)
    }
}

fn now() -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default()
}

fn end(certificate: &CertificateDer<'_>) -> Option<u64> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    u64::try_from(certificate.validity().not_after.timestamp()).ok()
}
