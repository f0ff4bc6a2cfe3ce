//! An issuer's public keys (JWKS), and what each can have signed. *Source:* RFC 7517, RFC 7518 section 6, RFC 8037.
//!
//! The kind of a key says which algorithms are its own, and a token only chooses among those. So no token can have a public
//! key taken for the secret of an HMAC, and `none` is no algorithm of any key.

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use serde_json::{Map, Value};

use super::JwtDenied;
use super::token::decode;
use crate::credential::Digest;

/// Keys in a set.
const MOST: usize = 100;
/// Keys that are tried for a token that does not say by which it is signed.
const TRIES: usize = 4;
/// Bits of an RSA key, at least.
const RSA_BITS: usize = 2048;

/// A set of keys; at least one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Keys(Vec<Key>);

#[derive(Debug, PartialEq, Eq)]
struct Key {
    /// What tokens call it, if anything.
    id: Option<String>,
    /// The only algorithm that it is for, if it says so.
    only: Option<String>,
    public: Public,
    /// Tells it from others, whatever it is called.
    print: Digest,
}

#[derive(Debug, PartialEq, Eq)]
enum Public {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// What a token says of its signature.
pub(super) struct Signed<'t> {
    pub(super) algorithm: &'t str,
    pub(super) message: &'t [u8],
    pub(super) signature: &'t [u8],
}

/// Why a set of keys cannot be used. Nothing of a key is in the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WrongKeys {
    /// No JSON, or another.
    #[error("this is no JWKS, which is a JSON object with a list of keys: {{\"keys\": [...]}}")]
    NoSet,
    /// Hardly one issuer's.
    #[error("there are more than {MOST} keys in this")]
    Many,
    /// A key of an HMAC.
    #[error(
        "the key number {0} is symmetric (kty oct): whoever has it can sign as well as check; give public keys only"
    )]
    Symmetric(usize),
    /// A private key.
    #[error(
        "the key number {0} is a private one (d), which is for the issuer alone; give public keys only"
    )]
    Private(usize),
    /// A key with a part that is missing, or is no such part.
    #[error("the key number {0} has no usable {1}")]
    Broken(usize, &'static str),
    /// An RSA key that is too easy to break.
    #[error("the key number {0} is an RSA key of less than {RSA_BITS} bits")]
    Short(usize),
    /// Keys of other kinds only, or for other ends.
    #[error(
        "there is no public key in this that signatures can be checked with: RSA of {RSA_BITS} bits or more, EC with the \
         curve P-256 or P-384, or OKP with Ed25519"
    )]
    None,
}

impl Keys {
    /// Reads a JWKS that can be mended by whoever has it. Keys of kinds that are not known, and those that are not for
    /// signatures, are left out.
    pub(super) fn parse(text: &[u8]) -> Result<Self, WrongKeys> {
        let (keys, unusable) = Self::usable(text)?;
        unusable.into_iter().next().map_or(Ok(keys), Err)
    }

    /// Reads one of somebody else's: what is wrong with a key is no harm to the others, so it is left out and told. *Source:*
    /// RFC 7517, section 5.
    pub(super) fn usable(text: &[u8]) -> Result<(Self, Vec<WrongKeys>), WrongKeys> {
        let set: Value = serde_json::from_slice(text).map_err(|_| WrongKeys::NoSet)?;
        let keys = set.get("keys").and_then(Value::as_array);
        let keys = keys.ok_or(WrongKeys::NoSet)?;
        if keys.len() > MOST {
            return Err(WrongKeys::Many);
        }
        let (mut usable, mut unusable) = (Vec::new(), Vec::new());
        for (key, number) in keys.iter().zip(1..) {
            let fields = key.as_object().ok_or(WrongKeys::NoSet)?;
            match (Jwk { fields, number }).read() {
                Ok(key) => usable.extend(key),
                Err(wrong @ (WrongKeys::Broken(..) | WrongKeys::Short(_))) => unusable.push(wrong),
                Err(wrong) => return Err(wrong),
            }
        }
        if usable.is_empty() {
            return Err(unusable.into_iter().next().unwrap_or(WrongKeys::None));
        }
        Ok((Self(usable), unusable))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the key is among them.
    pub(super) fn have(&self, print: &Digest) -> bool {
        self.0.iter().any(|key| key.print == *print)
    }

    /// The key that signed this. A token that calls it by a name means that key, or one that has no name.
    pub(super) fn signer(
        &self,
        id: Option<&str>,
        signed: &Signed<'_>,
    ) -> Result<Digest, JwtDenied> {
        let is_meant = |key: &&Key| id.is_none() || key.id.is_none() || key.id.as_deref() == id;
        let mut meant = self.0.iter().filter(is_meant).peekable();
        if meant.peek().is_none() {
            return Err(JwtDenied::UnknownKey);
        }
        let mut fitting = meant.filter(|key| key.is_for(signed.algorithm)).peekable();
        if fitting.peek().is_none() {
            return Err(JwtDenied::Algorithm);
        }
        let signer = fitting.take(TRIES).find(|key| key.public.has(signed));
        Ok(signer.ok_or(JwtDenied::Signature)?.print)
    }
}

impl Key {
    fn is_for(&self, algorithm: &str) -> bool {
        let is_own = match self.public {
            Public::Rsa { .. } => rsa(algorithm).is_some(),
            Public::P256(_) => algorithm == "ES256",
            Public::P384(_) => algorithm == "ES384",
            // The one of RFC 8037, and the one of RFC 9864.
            Public::Ed25519(_) => matches!(algorithm, "EdDSA" | "Ed25519"),
        };
        is_own && self.only.as_ref().is_none_or(|only| only == algorithm)
    }
}

impl Public {
    /// Whether it made this signature. The algorithm is one of its own.
    fn has(&self, signed: &Signed<'_>) -> bool {
        let by = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(algorithm, key).verify(signed.message, signed.signature)
        };
        let verified = match self {
            Self::Rsa { n, e } => match rsa(signed.algorithm) {
                Some(by) => {
                    RsaPublicKeyComponents { n, e }.verify(by, signed.message, signed.signature)
                }
                None => return false,
            },
            Self::P256(key) => by(&ECDSA_P256_SHA256_FIXED, key),
            Self::P384(key) => by(&ECDSA_P384_SHA384_FIXED, key),
            Self::Ed25519(key) => by(&ED25519, key),
        };
        verified.is_ok()
    }

    fn print(&self) -> Digest {
        match self {
            Self::Rsa { n, e } => Digest::of(&[&n[..], e].concat()),
            Self::P256(key) | Self::P384(key) | Self::Ed25519(key) => Digest::of(key),
        }
    }
}

fn rsa(algorithm: &str) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        "RS256" => &RSA_PKCS1_2048_8192_SHA256,
        "RS384" => &RSA_PKCS1_2048_8192_SHA384,
        "RS512" => &RSA_PKCS1_2048_8192_SHA512,
        "PS256" => &RSA_PSS_2048_8192_SHA256,
        "PS384" => &RSA_PSS_2048_8192_SHA384,
        "PS512" => &RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

/// A key as it is written, and its place in the set, from 1.
struct Jwk<'s> {
    fields: &'s Map<String, Value>,
    number: usize,
}

impl Jwk<'_> {
    /// Reads it; `None` for one that is not for us.
    fn read(&self) -> Result<Option<Key>, WrongKeys> {
        if self.text("kty") == Some("oct") {
            return Err(WrongKeys::Symmetric(self.number));
        }
        if !self.is_for_signatures() {
            return Ok(None);
        }
        if self.fields.contains_key("d") {
            return Err(WrongKeys::Private(self.number));
        }
        Ok(self.public()?.map(|public| Key {
            id: self.text("kid").map(str::to_owned),
            only: self.text("alg").map(str::to_owned),
            print: public.print(),
            public,
        }))
    }

    fn is_for_signatures(&self) -> bool {
        let verifies = |of: &Vec<Value>| of.iter().any(|of| of == "verify");
        let operations = self.fields.get("key_ops").and_then(Value::as_array);
        self.text("use").is_none_or(|of| of == "sig") && operations.is_none_or(verifies)
    }

    fn public(&self) -> Result<Option<Public>, WrongKeys> {
        Ok(Some(match (self.text("kty"), self.text("crv")) {
            (Some("RSA"), _) => {
                let (n, e) = (whole(self.part("n")?), whole(self.part("e")?));
                if bits(&n) < RSA_BITS {
                    return Err(WrongKeys::Short(self.number));
                }
                Public::Rsa { n, e }
            }
            (Some("EC"), Some("P-256")) => Public::P256(self.point(32)?),
            (Some("EC"), Some("P-384")) => Public::P384(self.point(48)?),
            (Some("OKP"), Some("Ed25519")) => Public::Ed25519(self.part("x")?),
            _ => return Ok(None),
        }))
    }

    /// A point of a curve as ring reads it: uncompressed. *Source:* SEC 1, section 2.3.3.
    fn point(&self, length: usize) -> Result<Vec<u8>, WrongKeys> {
        let (x, y) = (self.part("x")?, self.part("y")?);
        if (x.len(), y.len()) != (length, length) {
            return Err(self.broken("x and y: they are not as long as on its curve"));
        }
        Ok([&[4], &x[..], &y].concat())
    }

    fn part(&self, name: &'static str) -> Result<Vec<u8>, WrongKeys> {
        let part = self.text(name).and_then(decode);
        part.ok_or_else(|| self.broken(name))
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.as_str()
    }

    fn broken(&self, what: &'static str) -> WrongKeys {
        WrongKeys::Broken(self.number, what)
    }
}

/// A number without zeros in front, which some write and ring does not take.
fn whole(mut number: Vec<u8>) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.drain(..zeros);
    number
}

fn bits(number: &[u8]) -> usize {
    let first = number
        .first()
        .map_or(0, |byte| byte.leading_zeros() as usize);
    number.len() * 8 - first
}

#[cfg(test)]
mod tests;
