//! Certificates of a test.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    IsCa, KeyIdMethod, KeyPair, RevokedCertParams, SanType, date_time_ymd,
};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};

use crate::Folder;

/// A day.
pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Who signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate that an authority signed, and its key.
pub struct Leaf {
    /// PEM.
    pub certificate: String,
    /// PEM.
    pub key: String,
    serial: u64,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority")
    }
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Leaf").field(&self.serial).finish()
    }
}

impl Authority {
    /// One of that name.
    ///
    /// # Panics
    ///
    /// Never, unless rcgen changes.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Another that this one signs, and the certificate of that.
    ///
    /// # Panics
    ///
    /// Never, unless rcgen changes.
    #[must_use]
    pub fn signs_authority(&self, name: &str) -> (Self, Leaf) {
        let serial = next_serial();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(serial.into());
        let key = KeyPair::generate().unwrap();
        let leaf = |authority: &Self| Leaf {
            certificate: authority.pem(),
            key: authority.0.key().serialize_pem(),
            serial,
        };
        let authority = Self(CertifiedIssuer::signed_by(params, key, &self.0).unwrap());
        let leaf = leaf(&authority);
        (authority, leaf)
    }

    /// Its certificate, as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Signs a certificate for a DNS name or an IP address.
    #[must_use]
    pub fn signs(&self, name: &str) -> Leaf {
        self.signs_until(name, SystemTime::now() + 365 * DAY)
    }

    /// The same with an end.
    #[must_use]
    pub fn signs_until(&self, name: &str, end: SystemTime) -> Leaf {
        self.signs_names(&[name], end)
    }

    /// Signs a certificate for several names, of which those with `://` are URIs.
    #[must_use]
    pub fn signs_all(&self, names: &[&str]) -> Leaf {
        self.signs_names(names, SystemTime::now() + 365 * DAY)
    }

    /// The same with an end.
    ///
    /// # Panics
    ///
    /// For what can be no name.
    #[must_use]
    pub fn signs_names(&self, names: &[&str], end: SystemTime) -> Leaf {
        self.signs_altered(names, end, |_| ())
    }

    /// The same once it was altered.
    ///
    /// # Panics
    ///
    /// For what can be no name.
    #[must_use]
    pub fn signs_altered(
        &self,
        names: &[&str],
        end: SystemTime,
        alter: impl FnOnce(&mut CertificateParams),
    ) -> Leaf {
        let serial = next_serial();
        let (uris, others): (Vec<&str>, Vec<_>) =
            names.iter().partition(|name| name.contains("://"));
        let others: Vec<_> = others.into_iter().map(str::to_owned).collect();
        let mut params = CertificateParams::new(others).unwrap();
        let uri = |uri: &str| SanType::URI(uri.try_into().unwrap());
        params.subject_alt_names.extend(uris.into_iter().map(uri));
        params.not_before = date_time_ymd(2000, 1, 1);
        let end = end.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        params.not_after = date_time_ymd(1970, 1, 1) + end;
        params.serial_number = Some(serial.into());
        alter(&mut params);
        let key = KeyPair::generate().unwrap();
        Leaf {
            certificate: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
            serial,
        }
    }

    /// A list of the certificates that it takes back, as PEM.
    #[must_use]
    pub fn revokes(&self, leaves: &[&Leaf]) -> String {
        self.revokes_until(leaves, 4000)
    }

    /// The same with the year of the next one.
    ///
    /// # Panics
    ///
    /// Never, unless rcgen changes.
    #[must_use]
    pub fn revokes_until(&self, leaves: &[&Leaf], next: i32) -> String {
        let revoked = |leaf: &&Leaf| RevokedCertParams {
            serial_number: leaf.serial.into(),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(next, 1, 1),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: leaves.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).unwrap().pem().unwrap()
    }

    /// TLS of whoever trusts this authority alone, and shows `leaf`.
    ///
    /// # Panics
    ///
    /// Never, unless rustls changes.
    #[must_use]
    pub fn client(&self, leaf: Option<&Leaf>, protocols: &[&str]) -> ClientConfig {
        self.client_of(&[&TLS13, &TLS12], leaf, protocols)
    }

    /// The same with these versions alone.
    ///
    /// # Panics
    ///
    /// Never, unless rustls changes.
    #[must_use]
    pub fn client_of(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        leaf: Option<&Leaf>,
        protocols: &[&str],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match leaf {
            Some(leaf) => config
                .with_client_auth_cert(vec![leaf.der()], leaf.key_der())
                .unwrap(),
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().into())
            .collect();
        config
    }
}

fn next_serial() -> u64 {
    static SERIAL: AtomicU64 = AtomicU64::new(1);
    SERIAL.fetch_add(1, Ordering::Relaxed)
}

impl Leaf {
    /// DER.
    ///
    /// # Panics
    ///
    /// Never, unless rcgen changes.
    #[must_use]
    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()
    }

    fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }

    /// Writes `NAME.pem` and `NAME-key.pem`, and gives their paths.
    pub fn put(&self, folder: &Folder, name: &str) -> [String; 2] {
        [
            folder.put(&format!("{name}.pem"), &self.certificate),
            folder.put_secret(&format!("{name}-key.pem"), &self.key),
        ]
    }

    /// TLS of a server that shows it, and asks those who come for a certificate of `authority`.
    ///
    /// # Panics
    ///
    /// Never, unless rustls changes.
    #[must_use]
    pub fn server(&self, authority: Option<&Authority>, protocols: &[&str]) -> ServerConfig {
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .unwrap();
        let config = match authority {
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.0.der().clone()).unwrap();
                let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
                    Arc::new(roots),
                    provider,
                );
                config.with_client_cert_verifier(verifier.build().unwrap())
            }
            None => config.with_no_client_auth(),
        };
        let mut config = config
            .with_single_cert(vec![self.der()], self.key_der())
            .unwrap();
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().into())
            .collect();
        config
    }
}
