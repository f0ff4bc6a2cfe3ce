//! What secrets are made of.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use grpc_multiplexer_tests::secrets::plant;
use grpc_multiplexer_tests::{KEYS, Leaf};
use ring::digest::{SHA256, digest};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;

/// A random text.
pub(crate) fn token() -> String {
    let token = BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    plant(&token);
    token
}

/// A line of the server's for it begins with this.
pub(crate) fn sha256(token: &str) -> String {
    let digest = digest(&SHA256, token.as_bytes());
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// What is secret of a key of edges, without base64: it stands in front of the public half.
pub(crate) fn seed() -> Vec<u8> {
    let base64: String = KEYS[0]
        .private
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    let bytes = BASE64_STANDARD.decode(base64).unwrap();
    let public = KEYS[0].public.split(' ').nth(1).unwrap();
    let public = BASE64_STANDARD.decode(public).unwrap();
    let public = public.last_chunk::<32>().unwrap();
    let at = bytes.windows(32).rposition(|part| part == public).unwrap();
    bytes[at - 32..at].to_vec()
}

/// The same of a key of certificates. *Source:* RFC 5915, section 3: a version, and an octet string.
pub(crate) fn scalar(leaf: &Leaf) -> Vec<u8> {
    const BEFORE: &[u8] = &[2, 1, 1, 4, 32];
    let key = PrivatePkcs8KeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap();
    let key = key.secret_pkcs8_der();
    let at = key.windows(5).position(|part| part == BEFORE).unwrap() + 5;
    key[at..at + 32].to_vec()
}
