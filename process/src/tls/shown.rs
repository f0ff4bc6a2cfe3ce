//! What somebody showed who was let in, or dialled, kept so that it can be looked at again: a certificate may be revoked, its
//! authority may be taken out, and it ends by itself.

use std::fmt;
use std::time::{Duration, SystemTime};

use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CommonState, Error};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::listener::Trust;

/// A certificate is looked at no more often than this.
const SOONEST: Duration = Duration::from_secs(1);
/// And this often at least: a clock may be set.
const LATEST: Duration = Duration::from_secs(60 * 60);

/// The certificates that somebody showed; none for whoever showed none.
#[derive(Clone, Default)]
pub struct Shown {
    /// Its own first.
    chain: Vec<CertificateDer<'static>>,
    /// When the first of them ends, in seconds since 1970.
    end: Option<u64>,
    /// Which trust of a listener's let it in.
    under: u64,
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shown").field(&self.chain.len()).finish()
    }
}

impl Shown {
    /// That of whoever is at the other end.
    #[must_use]
    pub fn of(peer: &CommonState) -> Self {
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
            under: 0,
        }
    }

    /// The same of whoever came, and `trust` let in.
    pub(super) fn under(trust: &Trust, peer: &CommonState) -> Self {
        Self {
            under: trust.print(),
            ..Self::of(peer)
        }
    }

    /// When it is to be looked at again, whatever is read again meanwhile: when it ends, as far as it says itself.
    #[must_use]
    pub fn next_look(&self) -> Duration {
        next_look(self.left())
    }

    /// Whether no certificate was.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.chain.is_empty()
    }

    /// How long it is good; `None` where it does not say.
    fn left(&self) -> Option<Duration> {
        // A certificate is good for the whole of its last second.
        let over = Duration::from_secs(self.end?.saturating_add(1));
        Some(over.saturating_sub(now()))
    }

    /// Whether `trust` would let in who shows this.
    pub(super) fn is_let_in(&self, trust: &Trust) -> Result<(), Error> {
        let has_ended = self.left().is_some_and(|left| left.is_zero());
        if self.under == trust.print() && !has_ended {
            return Ok(());
        }
        let verifier = trust.verifier();
        self.verified(|own, others, now| verifier.verify_client_cert(own, others, now).map(drop))
    }

    /// Whether `verifier` would take a server that shows this for the one of that `name`.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn is_trusted(
        &self,
        verifier: &dyn ServerCertVerifier,
        name: &ServerName<'_>,
    ) -> Result<(), Error> {
        self.verified(|own, others, now| {
            let verified = verifier.verify_server_cert(own, others, name, &[], now);
            verified.map(drop)
        })
    }

    /// What `verify` says of it now, its own certificate first.
    fn verified(
        &self,
        verify: impl FnOnce(&CertificateDer<'_>, &[CertificateDer<'_>], UnixTime) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some((own, others)) = self.chain.split_first() else {
            return Err(Error::NoCertificatesPresented);
        };
        verify(own, others, UnixTime::since_unix_epoch(now()))
    }
}

/// When a certificate that is trusted now is to be looked at again, by what it has left. Where nothing is left it is trusted
/// all the same: what has ended is one that it came with, and that nobody needs.
fn next_look(left: Option<Duration>) -> Duration {
    let left = left.filter(|left| !left.is_zero());
    left.unwrap_or(LATEST).clamp(SOONEST, LATEST)
}

fn now() -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default()
}

fn end(certificate: &CertificateDer<'_>) -> Option<u64> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    u64::try_from(certificate.validity().not_after.timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_looked_at_when_it_ends_and_not_all_the_time_after() {
        let seconds = Duration::from_secs;
        for (left, wanted) in [
            (None, LATEST),
            (Some(seconds(90)), seconds(90)),
            (Some(seconds(86_400)), LATEST),
            (Some(Duration::from_millis(1)), SOONEST),
            (Some(Duration::ZERO), LATEST),
        ] {
            assert_eq!(next_look(left), wanted, "{left:?}");
        }
    }
}
