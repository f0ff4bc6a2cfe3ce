//! A certificate and its key.

use std::fmt::Display;
use std::sync::Arc;

use rustls::sign::CertifiedKey;
use rustls::{Error, RootCertStore};

use super::{Certificate, pem, provider};
use crate::{NamedFile, Reader};

/// The certificate that the value at `certificate` names, and its key at `key`; `None` when neither is given, and when one
/// is mistaken.
pub(super) fn identity(
    reader: &mut Reader<'_>,
    certificate: &str,
    key: &str,
) -> Option<Arc<CertifiedKey>> {
    let chain = reader.file(certificate);
    let named = chain.as_ref().map(|file| file.path.clone());
    let chain = used(reader, certificate, chain, pem::certificates);
    let secret = reader.secret_file(key);
    let secret = used(reader, key, secret, pem::key);
    for (one, other, what) in [(certificate, key, "key"), (key, certificate, "certificate")] {
        if reader.is_set(one) && !reader.is_set(other) {
            let flag = reader.flag(other);
            reader.mistake(one, format!("needs its {what}: give {flag} as well"));
        }
    }
    match CertifiedKey::from_der(chain?, secret?, &provider()) {
        Ok(identity) => {
            if let (Some(file), Some(leaf)) = (named, identity.cert.first()) {
                reader.in_use(Certificate::of(certificate, file, leaf));
            }
            return Some(Arc::new(identity));
        }
        Err(Error::InconsistentKeys(_)) => {
            let named = named.unwrap_or_default();
            let named = named.display();
            reader.mistake(
                key,
                format!("this is not the key of the certificate in {named}"),
            );
        }
        Err(Error::InvalidCertificate(error)) => {
            let error = Error::InvalidCertificate(error);
            reader.mistake(
                certificate,
                format!("the first certificate cannot be used: {error}"),
            );
        }
        // Its text is a fixed one.
        Err(error) => reader.mistake(key, format!("this key cannot be used: {error}")),
    }
    None
}

/// The authorities in the file that the value at `path` names.
pub(super) fn authorities(reader: &mut Reader<'_>, path: &str) -> Option<RootCertStore> {
    let file = reader.file(path);
    used(reader, path, file, pem::authorities)
}

/// What `parse` makes of a file, or a mistake.
pub(super) fn used<T, E: Display>(
    reader: &mut Reader<'_>,
    path: &str,
    file: Option<NamedFile>,
    parse: impl Fn(&[u8]) -> Result<T, E>,
) -> Option<T> {
    let parsed = parse(&file?.contents);
    parsed.map_err(|error| reader.mistake(path, error)).ok()
}
