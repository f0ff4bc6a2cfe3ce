//! A token as it is written: three parts with dots between them. *Source:* RFC 7515, section 7.1.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use grpc_multiplexer_tunnel::LONGEST_TOKEN;
use serde_json::{Map, Value};

use super::JwtDenied;
use super::claims::Claims;
use super::keys::{Keys, Signed};
use crate::credential::Digest;

/// Those that a token may be signed by, where the kind of the key is theirs.
pub(super) const ALGORITHMS: &str =
    "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA or Ed25519";

/// Whether a text looks like a token: in three parts, of which the first is an object of JSON in base64.
pub(super) fn is_jwt(text: &[u8]) -> bool {
    text.starts_with(b"ey") && text.iter().filter(|byte| **byte == b'.').count() == 2
}

/// What a token says, and which of `keys` signed it. Nothing that it says was looked at.
pub(super) fn signed_by(keys: &Keys, text: &[u8]) -> Result<(Claims, Digest), JwtDenied> {
    if text.len() > LONGEST_TOKEN {
        return Err(JwtDenied::Long(LONGEST_TOKEN));
    }
    let malformed = JwtDenied::Malformed;
    let parts = Parts::of(text).ok_or(malformed("it has not three parts"))?;
    let header = Header::read(parts.header)?;
    let signature = decode(parts.signature).ok_or(malformed("its signature is no base64"))?;
    let signed = Signed {
        algorithm: &header.algorithm,
        message: parts.signed.as_bytes(),
        signature: &signature,
    };
    let key = keys.signer(header.key.as_deref(), &signed)?;
    let claims = object(parts.claims).ok_or(malformed("what it says is no JSON"))?;
    Ok((claims.into(), key))
}

struct Parts<'t> {
    header: &'t str,
    claims: &'t str,
    /// Both of them as they were signed.
    signed: &'t str,
    signature: &'t str,
}

impl<'t> Parts<'t> {
    fn of(text: &'t [u8]) -> Option<Self> {
        let (signed, signature) = str::from_utf8(text).ok()?.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        Some(Self {
            header,
            claims,
            signed,
            signature,
        })
    }
}

/// How a token is signed, as it says itself.
struct Header {
    algorithm: String,
    key: Option<String>,
}

impl Header {
    fn read(part: &str) -> Result<Self, JwtDenied> {
        let malformed = JwtDenied::Malformed;
        let mut header = object(part).ok_or(malformed("its header is no JSON"))?;
        // An extension that must be understood. There is none that is.
        if header.contains_key("crit") {
            return Err(malformed("its header asks for an extension (crit)"));
        }
        let Some(Value::String(algorithm)) = header.remove("alg") else {
            return Err(malformed("its header names no algorithm (alg)"));
        };
        let key = match header.remove("kid") {
            None => None,
            Some(Value::String(key)) => Some(key),
            Some(_) => return Err(malformed("its header names a key (kid) that is no text")),
        };
        Ok(Self { algorithm, key })
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&decode(part)?).ok()
}

pub(super) fn decode(part: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(part).ok()
}

#[cfg(test)]
mod tests;
