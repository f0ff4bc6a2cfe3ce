//! What is in PEM files. Nothing of their text is ever shown.

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

/// What an encrypted key begins with.
const ENCRYPTED: &[u8] = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum PemError {
    #[error("this file is empty")]
    Empty,
    #[error("this holds no PEM {0}, which begins with -----BEGIN {1}-----")]
    Nothing(&'static str, &'static str),
    #[error("this is no whole PEM text: it ends within a section")]
    CutOff,
    #[error("this is no PEM text: {0}")]
    Broken(&'static str),
    #[error("a certificate in this cannot be used: {0}")]
    Certificate(rustls::Error),
    #[error("this key is encrypted; decrypt it, as with: openssl pkey -in FILE -out FILE")]
    Encrypted,
}

/// A chain, or a set, of certificates; at least one.
pub(super) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    all(text, "certificate", "CERTIFICATE")
}

/// Revocation lists; at least one.
pub(super) fn revocation_lists(
    text: &[u8],
) -> Result<Vec<CertificateRevocationListDer<'static>>, PemError> {
    all(text, "revocation list", "X509 CRL")
}

/// The first private key.
pub(super) fn key(text: &[u8]) -> Result<PrivateKeyDer<'static>, PemError> {
    match all(text, "private key", "PRIVATE KEY") {
        Err(PemError::Nothing(..)) if text.windows(ENCRYPTED.len()).any(|at| at == ENCRYPTED) => {
            Err(PemError::Encrypted)
        }
        keys => Ok(keys?.swap_remove(0)),
    }
}

/// Authorities to trust; at least one.
pub(super) fn authorities(text: &[u8]) -> Result<RootCertStore, PemError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(text)? {
        roots.add(certificate).map_err(PemError::Certificate)?;
    }
    Ok(roots)
}

fn all<T: PemObject>(
    text: &[u8],
    name: &'static str,
    section: &'static str,
) -> Result<Vec<T>, PemError> {
    if text.trim_ascii().is_empty() {
        return Err(PemError::Empty);
    }
    let items: Result<Vec<_>, _> = T::pem_slice_iter(text).collect();
    match items.map_err(broken)? {
        items if items.is_empty() => Err(PemError::Nothing(name, section)),
        items => Ok(items),
    }
}

/// The same without what the error shows of the text, which may be a key's.
fn broken(error: pem::Error) -> PemError {
    match error {
        pem::Error::MissingSectionEnd { .. } => PemError::CutOff,
        pem::Error::Base64Decode(_) => PemError::Broken("a section is not base64"),
        pem::Error::IllegalSectionStart { .. } => PemError::Broken("a section begins oddly"),
        _ => PemError::Broken("it cannot be read"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n";

    fn said<T>(result: Result<T, PemError>) -> String {
        result.err().unwrap().to_string()
    }

    #[test]
    fn each_way_to_get_it_wrong_is_told_and_nothing_of_a_key_is() {
        assert_eq!(said(certificates(b" \n")), "this file is empty");
        assert!(said(certificates(KEY)).contains("no PEM certificate"));
        assert!(said(key(b"nothing")).contains("-----BEGIN PRIVATE KEY-----"));
        assert!(said(revocation_lists(KEY)).contains("X509 CRL"));
        let half = &KEY[..KEY.len() - 10];
        assert!(said(key(half)).contains("ends within a section"));
        let odd = b"-----BEGIN PRIVATE KEY-----\nhunter2!\n-----END PRIVATE KEY-----\n";
        assert!(!said(key(odd)).contains("hunter2"));
        let odd = b"-----BEGIN hunter2\n";
        assert!(!said(key(odd)).contains("hunter2"));
        let encrypted = [
            ENCRYPTED,
            b"\naHVudGVyMg==\n-----END ENCRYPTED PRIVATE KEY-----\n",
        ];
        assert!(said(key(&encrypted.concat())).contains("openssl pkey"));
        assert!(key(KEY).is_ok());
    }
}
