//! The names that a certificate is for.

use tokio_rustls::server::TlsStream;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// The alternative names of a certificate. Its common name is none: authorities do not check what it says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateNames {
    /// URIs, as they are written.
    pub uris: Vec<String>,
    /// DNS names, as they are written.
    pub dns: Vec<String>,
    /// Whether it may sign certificates, or lists of those that are revoked. Whoever shows one that may is no workload, so its
    /// URI does not say who that is. *Source:* SPIFFE X509-SVID, section 5.2.
    pub signs: bool,
}

impl CertificateNames {
    /// Those of the certificate that whoever came on a listener showed; `None` where it showed none. One
    /// whose names cannot be read has none.
    #[must_use]
    pub fn shown<T>(stream: &TlsStream<T>) -> Option<Self> {
        let shown = stream.get_ref().1.peer_certificates()?.first()?;
        Some(Self::of(shown).unwrap_or_default())
    }

    /// Those of a certificate in DER.
    fn of(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let usage = certificate.key_usage().ok()?;
        let signs =
            usage.is_some_and(|usage| usage.value.key_cert_sign() || usage.value.crl_sign());
        let extension = certificate.subject_alternative_name().ok()??;
        let mut names = Self {
            signs,
            ..Self::default()
        };
        for name in &extension.value.general_names {
            match name {
                GeneralName::URI(uri) => names.uris.push((*uri).to_owned()),
                GeneralName::DNSName(name) => names.dns.push((*name).to_owned()),
                _ => {}
            }
        }
        Some(names)
    }
}
