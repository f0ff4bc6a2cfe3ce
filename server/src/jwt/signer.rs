//! Signs tokens, and takes some without a signature, for tests.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::{Jwt, Verified};
use crate::credential::Digest;

pub(crate) const ISSUER: &str = "https://id.test";
pub(crate) const AUDIENCE: &str = "mux";

/// A token that says this, and was taken.
pub(crate) fn taken(says: &Value) -> Jwt {
    Ok(Arc::new(Verified {
        claims: says.as_object().unwrap().clone().into(),
        key: Digest::of(b"key"),
        end: Duration::MAX,
    }))
}

/// Who signs.
pub(crate) struct Signer(Ed25519KeyPair);

impl Signer {
    pub(crate) fn new() -> Self {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self(Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap())
    }

    /// Its public key.
    pub(crate) fn jwks(&self) -> Vec<u8> {
        let x = encode(self.0.public_key().as_ref());
        let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": x});
        json!({ "keys": [key] }).to_string().into_bytes()
    }

    /// A token with the usual header.
    pub(crate) fn signs(&self, claims: &Value) -> String {
        self.signs_with(&json!({"alg": "EdDSA", "kid": "a"}), claims)
    }

    pub(crate) fn signs_with(&self, header: &Value, claims: &Value) -> String {
        let [header, claims] = [header, claims].map(|part| encode(part.to_string().as_bytes()));
        let signed = format!("{header}.{claims}");
        let signature = encode(self.0.sign(signed.as_bytes()).as_ref());
        format!("{signed}.{signature}")
    }
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
