//! What secrets are made of.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use grpc_multiplexer_tests::secrets::plant;
use ring::digest::{SHA256, digest};

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
