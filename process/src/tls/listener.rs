//! TLS on a listener.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::sync::Arc;

use rustls::pki_types::CertificateRevocationListDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{
    AlertDescription, CertificateError, Error, PeerIncompatible, RootCertStore, ServerConfig,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::identity::{authorities, identity, used};
use super::{Shown, pem, provider, versions};
use crate::Reader;

/// What a listener asks of those who come with TLS, and at which options the rest is.
#[derive(Debug, Clone, Copy)]
pub struct ListenerTerms {
    /// The path that its options are below: `proxy.tls` has `proxy.tls.certificate`, `key`, `client-ca` and `client-crl`.
    pub options: &'static str,
    /// The application protocol (ALPN). Who offers others is refused.
    pub protocol: &'static str,
    /// Whether who offers none is refused as well.
    pub must_offer: bool,
    /// Whether TLS 1.2 will do, beside 1.3.
    pub tls12: bool,
}

impl ListenerTerms {
    fn path(&self, name: &str) -> String {
        format!("{}.{name}", self.options)
    }

    fn flag(&self, name: &str) -> String {
        format!("--{}", self.path(name).replace('.', "-"))
    }
}

/// TLS on a listener. Clones share it.
#[derive(Clone)]
pub struct ListenerTls {
    terms: ListenerTerms,
    acceptor: TlsAcceptor,
    /// Whose certificates are taken, where who comes must show one.
    trust: Option<Trust>,
}

/// The authorities of those who come, and their revocation lists.
#[derive(Clone)]
pub(super) struct Trust {
    verifier: Arc<dyn ClientCertVerifier>,
    /// Tells it apart from what others say.
    print: u64,
}

impl fmt::Debug for ListenerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ListenerTls")
            .field(&self.terms.options)
            .finish()
    }
}

impl ListenerTls {
    /// Reads a listener's options; `None` when it is to have no TLS, and when there is a mistake, which `reader` keeps.
    pub fn read(reader: &mut Reader<'_>, terms: ListenerTerms) -> Option<Self> {
        let [certificate, key, ca, crl] =
            ["certificate", "key", "client-ca", "client-crl"].map(|name| terms.path(name));
        let identity = identity(reader, &certificate, &key);
        let roots = authorities(reader, &ca);
        let lists = reader.file(&crl);
        let lists = used(reader, &crl, lists, pem::revocation_lists);
        let is_mutual = reader.is_set(&ca);
        for (given, needed) in [(&ca, &certificate), (&crl, &ca)] {
            if reader.is_set(given) && !reader.is_set(needed) {
                let flag = reader.flag(needed);
                reader.mistake(given, format!("has no effect without {flag}"));
            }
        }
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions(terms.tls12))
            .expect("ring has cipher suites for every version");
        let trust = if is_mutual {
            Some(Trust::new(reader, &crl, roots?, lists.unwrap_or_default())?)
        } else {
            None
        };
        let config = match &trust {
            Some(trust) => config.with_client_cert_verifier(Arc::clone(&trust.verifier)),
            None => config.with_no_client_auth(),
        };
        let mut config = config.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity?)));
        config.alpn_protocols = vec![terms.protocol.into()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Some(Self {
            terms,
            acceptor: Arc::new(config).into(),
            trust,
        })
    }

    /// Whether who comes must show a certificate that one of the listener's authorities signed.
    #[must_use]
    pub fn is_mutual(&self) -> bool {
        self.trust.is_some()
    }

    /// What whoever is at the other end of `stream` showed here.
    #[must_use]
    pub fn shown<T>(&self, stream: &TlsStream<T>) -> Shown {
        let shown = |trust| Shown::under(trust, stream.get_ref().1);
        self.trust.as_ref().map(shown).unwrap_or_default()
    }

    /// Sees whether who was let in with `shown`, by this listener as it was then, would be now.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn still_trusts(&self, shown: &Shown) -> Result<(), AcceptError> {
        let Some(trust) = &self.trust else {
            return Ok(());
        };
        let trusted = shown.is_let_in(trust);
        trusted.map_err(|error| self.refused(io::Error::other(error)))
    }

    /// Takes whoever came over `io`. It has no deadline of its own.
    ///
    /// # Errors
    ///
    /// Why not, and `io`, which is to be closed.
    ///
    /// # Cancel safety
    ///
    /// Not cancel-safe: what was read is lost with it.
    pub async fn accept<T>(&self, io: T) -> Result<TlsStream<T>, (AcceptError, T)>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        match self.acceptor.accept(io).into_fallible().await {
            Ok(stream) if self.terms.must_offer && stream.get_ref().1.alpn_protocol().is_none() => {
                let error = Error::NoApplicationProtocol;
                let (io, _) = stream.into_inner();
                Err((self.refused(io::Error::other(error)), io))
            }
            Ok(stream) => Ok(stream),
            Err((error, io)) => Err((self.refused(error), io)),
        }
    }

    fn refused(&self, error: io::Error) -> AcceptError {
        AcceptError {
            terms: self.terms,
            error,
        }
    }
}

impl Trust {
    /// Only what is shown is looked up in the lists, not the authorities between: few of them publish one. Who is in none,
    /// because its authority has none here, is refused.
    fn new(
        reader: &mut Reader<'_>,
        crl: &str,
        roots: RootCertStore,
        lists: Vec<CertificateRevocationListDer<'static>>,
    ) -> Option<Self> {
        let print = print(&roots, &lists);
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .with_crls(lists)
            .build();
        // There are roots, so it can only be the lists.
        let verifier = verifier.map_err(|error| {
            reader.mistake(crl, format!("a list in this cannot be used: {error}"));
        });
        verifier.ok().map(|verifier| Self { verifier, print })
    }

    pub(super) fn verifier(&self) -> &dyn ClientCertVerifier {
        &*self.verifier
    }

    pub(super) fn print(&self) -> u64 {
        self.print
    }
}

fn print(roots: &RootCertStore, lists: &[CertificateRevocationListDer<'_>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for root in &roots.roots {
        root.subject.as_ref().hash(&mut hasher);
        root.subject_public_key_info.as_ref().hash(&mut hasher);
        root.name_constraints.as_deref().hash(&mut hasher);
    }
    for list in lists {
        list.as_ref().hash(&mut hasher);
    }
    hasher.finish()
}

/// Why TLS with somebody who came did not come about, in words for the operator of the listener.
#[derive(Debug)]
pub struct AcceptError {
    terms: ListenerTerms,
    error: io::Error,
}

impl std::error::Error for AcceptError {}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.error.get_ref();
        let Some(error) = inner.and_then(|inner| inner.downcast_ref::<Error>()) else {
            return write!(f, "the TLS handshake broke off: {}", self.error);
        };
        let flag = |name| self.terms.flag(name);
        match error {
            Error::NoCertificatesPresented => write!(
                f,
                "who came shows no certificate, which {} asks for",
                flag("client-ca")
            ),
            Error::InvalidCertificate(error) => self.certificate(error, f),
            Error::NoApplicationProtocol => write!(
                f,
                "who came does not offer the protocol of this listener (ALPN {})",
                self.terms.protocol
            ),
            Error::PeerIncompatible(
                PeerIncompatible::SupportedVersionsExtensionRequired
                | PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled,
            ) => write!(f, "who came offers older versions of TLS only"),
            Error::AlertReceived(
                alert @ (AlertDescription::UnknownCA
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired),
            ) => write!(
                f,
                "who came does not accept the certificate in {} ({alert:?})",
                flag("certificate")
            ),
            error => write!(f, "the TLS handshake failed: {error}"),
        }
    }
}

impl AcceptError {
    /// What is wrong with the certificate that was shown.
    fn certificate(&self, error: &CertificateError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = |name| self.terms.flag(name);
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                write!(f, "the certificate that was shown has expired")
            }
            CertificateError::Revoked => write!(
                f,
                "the certificate that was shown, or one above it, is revoked by {}",
                flag("client-crl")
            ),
            CertificateError::UnknownRevocationStatus => write!(
                f,
                "{} has no list of the authority that signed the certificate that was shown, or one above it",
                flag("client-crl")
            ),
            CertificateError::UnknownIssuer | CertificateError::BadSignature => write!(
                f,
                "no authority in {} signed the certificate that was shown",
                flag("client-ca")
            ),
            error => write!(f, "the certificate that was shown is not accepted: {error}"),
        }
    }
}
