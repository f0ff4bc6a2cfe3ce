//! Who signs JSON Web Tokens. Each is [planted](crate::secrets).

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::secrets::plant;

/// Who signs.
pub const ISSUER: &str = "https://id.test/realm";
/// Whom tokens are for.
pub const AUDIENCE: &str = "grpc-multiplexer";
/// In a claim that nobody asks for.
pub const MARKER: &str = "marker-in-a-claim-0123456789";

/// A key, and what tokens call it.
#[derive(Debug)]
pub struct Signer {
    key: Ed25519KeyPair,
    id: &'static str,
}

impl Signer {
    /// One with a key of its own.
    #[must_use]
    pub fn new(id: &'static str) -> Self {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let key = Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap();
        Self { key, id }
    }

    /// A token that says this.
    #[must_use]
    pub fn signs(&self, says: &Value) -> String {
        let text = self.text("EdDSA", says);
        signed(&text, self.key.sign(text.as_bytes()).as_ref())
    }

    /// One of that subject, which is good for an hour.
    #[must_use]
    pub fn token(&self, sub: &str) -> String {
        self.signs(&says(sub, 3600))
    }

    /// One with an HMAC whose secret is the public key.
    #[must_use]
    pub fn confuses(&self, says: &Value) -> String {
        let text = self.text("HS256", says);
        let secret = hmac::Key::new(hmac::HMAC_SHA256, self.key.public_key().as_ref());
        signed(&text, hmac::sign(&secret, text.as_bytes()).as_ref())
    }

    /// Header and claims.
    #[must_use]
    pub fn text(&self, algorithm: &str, says: &Value) -> String {
        let header = json!({"typ": "JWT", "alg": algorithm, "kid": self.id});
        let [header, says] = [&header, says].map(|part| encode(part.to_string().as_bytes()));
        format!("{header}.{says}")
    }

    fn jwk(&self) -> Value {
        let x = encode(self.key.public_key().as_ref());
        json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": self.id, "x": x})
    }
}

fn signed(text: &str, signature: &[u8]) -> String {
    let token = format!("{text}.{}", encode(signature));
    plant(&token);
    token
}

/// The public keys of signers.
#[must_use]
pub fn jwks(signers: &[&Signer]) -> String {
    let keys: Vec<_> = signers.iter().map(|signer| signer.jwk()).collect();
    json!({ "keys": keys }).to_string()
}

/// What a token says that is good for so many seconds.
#[must_use]
pub fn says(sub: &str, left: i64) -> Value {
    json!({"iss": ISSUER, "aud": [AUDIENCE, "x"], "sub": sub, "exp": now() + left, "more": MARKER})
}

/// In seconds since 1970.
#[must_use]
pub fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs().try_into().unwrap()
}

/// As every part of a token is.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
