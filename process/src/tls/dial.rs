//! TLS towards whoever is dialled.

use std::sync::Arc;

use rustls::client::{Resumption, VerifierBuilderError, WantsClientCert, WebPkiServerVerifier};
use rustls::pki_types::{CertificateRevocationListDer, ServerName};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};

use super::identity::{authorities, identity, used};
use super::{pem, provider, versions};
use crate::Reader;

/// Value of an option of authorities for those that the system trusts.
const SYSTEM: &str = "system";

/// What TLS towards somebody needs, and at which options it is.
#[derive(Debug, Clone, Copy)]
pub struct DialTerms {
    /// The authorities: a file, or `system`, which holds where there is no value, too.
    pub ca: &'static str,
    /// Their revocation lists, where there may be any.
    pub crl: Option<&'static str>,
    /// The certificate to show, if any.
    pub certificate: &'static str,
    /// Its key.
    pub key: &'static str,
    /// The application protocol (ALPN) that is offered.
    pub protocol: &'static str,
    /// Whether TLS 1.2 will do, beside 1.3.
    pub tls12: bool,
}

/// TLS towards whoever is dialled.
#[derive(Debug, Clone)]
pub struct DialTls {
    /// How to speak it.
    pub config: Arc<ClientConfig>,
    /// What checks there who was dialled, to be asked again later.
    pub verifier: Arc<WebPkiServerVerifier>,
}

impl DialTerms {
    /// Reads the options. Mistakes are kept by `reader`; `None` only with one.
    pub fn read(&self, reader: &mut Reader<'_>) -> Option<DialTls> {
        let roots = roots(reader, self.ca);
        let crl = self.crl.filter(|crl| reader.is_set(crl));
        let lists = crl.and_then(|crl| {
            let lists = reader.file(crl);
            used(reader, crl, lists, pem::revocation_lists)
        });
        let identity = identity(reader, self.certificate, self.key);
        if identity.is_none() && (reader.is_set(self.certificate) || reader.is_set(self.key)) {
            return None;
        }
        let verifier = verifier(roots?, lists.unwrap_or_default());
        // There are roots, so it can only be the lists.
        let verifier = verifier.map_err(|error| {
            let crl = crl.expect("without lists none is wrong");
            reader.mistake(crl, format!("a list in this cannot be used: {error}"));
        });
        let verifier = verifier.ok()?;
        let config = config(Arc::clone(&verifier), self.tls12);
        let config = match identity {
            Some(identity) => {
                config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity)))
            }
            None => config.with_no_client_auth(),
        };
        Some(DialTls {
            config: finished(config, self.protocol),
            verifier,
        })
    }
}

/// TLS, 1.2 or 1.3, towards somebody who is shown no certificate; `ca` is the option of the authorities, as that of
/// [`DialTerms`], and `protocol` what is offered (ALPN). Mistakes are kept by `reader`; `None` only with one.
pub fn authorities_of(
    reader: &mut Reader<'_>,
    ca: &str,
    protocol: &str,
) -> Option<Arc<ClientConfig>> {
    let verifier = verifier(roots(reader, ca)?, Vec::new()).expect("there are roots");
    let config = config(verifier, true).with_no_client_auth();
    Some(finished(config, protocol))
}

/// As with those who come at a [listener](super::ListenerTls), what is shown is looked up in the lists, and so is each
/// certificate above it but the authority's own; what no list is about is refused.
fn verifier(
    roots: RootCertStore,
    lists: Vec<CertificateRevocationListDer<'static>>,
) -> Result<Arc<WebPkiServerVerifier>, VerifierBuilderError> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .with_crls(lists)
        .build()
}

fn config(
    verifier: Arc<WebPkiServerVerifier>,
    tls12: bool,
) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions(tls12))
        .expect("ring has cipher suites for every version")
        .with_webpki_verifier(verifier)
}

fn finished(mut config: ClientConfig, protocol: &str) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![protocol.into()];
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

fn roots(reader: &mut Reader<'_>, ca: &str) -> Option<RootCertStore> {
    let named = reader.optional(ca, |value| Ok::<_, String>(value != SYSTEM));
    if named == Some(true) {
        return authorities(reader, ca);
    }
    let mut roots = RootCertStore::empty();
    // Single bad certificates in a system's store are common and harmless: the usable ones count.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let reason =
            "the system's certificate store holds no certificate; name a file of authorities";
        reader.mistake(ca, reason);
        return None;
    }
    Some(roots)
}

/// The name a certificate is checked for: a DNS name or an IP address (without brackets).
#[must_use]
pub fn server_name(host: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(host.to_owned()).ok()
}
