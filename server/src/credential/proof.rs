//! An edge proves the key that its hello names.
//!
//! Every edge that names a key is challenged, also for a key that the server does not know or need. Keys are public: if
//! only those were challenged that the server knows, whoever has somebody's public key could see whether it opens anything
//! here. So what is known of a key is told to its owner alone; and a tunnel whose key nobody asked for when it came has
//! proven it all the same when somebody does.

use grpc_multiplexer_process::SshPublicKey;
use grpc_multiplexer_tunnel::message::{Auth, Code, Refused};
use grpc_multiplexer_tunnel::{Channel, KEY_SCHEME};
use rand::Rng as _;

use super::Digest;
use super::keys::KeyDenied;
use crate::edge::offer::refused;

/// A key that an edge says it has, and what it is to sign. It is for one try.
#[derive(Debug)]
pub(crate) struct Claim {
    key: SshPublicKey,
    nonce: [u8; 32],
    /// What the server may take for the key, if it does not know it.
    token: Option<Digest>,
}

impl Claim {
    /// That of a hello, if it makes one.
    pub(crate) fn of(auth: Option<&Auth>) -> Result<Option<Self>, Refused> {
        let Some(auth) = auth.filter(|auth| auth.scheme == KEY_SCHEME) else {
            return Ok(None);
        };
        let Ok(key) = <[u8; 32]>::try_from(auth.data.as_slice()) else {
            let text = "the hello's auth is no Ed25519 key, which has 32 bytes";
            return Err(refused(Code::Malformed, text));
        };
        Ok(Some(Self {
            key: key.into(),
            nonce: rand::rng().random(),
            token: Some(&auth.enrolment_token)
                .filter(|token| !token.is_empty())
                .map(|token| Digest::of(token)),
        }))
    }

    /// What the edge is challenged with.
    pub(crate) fn nonce(&self) -> [u8; 32] {
        self.nonce
    }

    /// The key, and the token that came with it, where the edge that came over `channel` signed the right thing with the key.
    pub(super) fn proven(
        self,
        channel: &Channel,
        signature: &[u8],
    ) -> Result<(SshPublicKey, Option<Digest>), KeyDenied> {
        let signed = channel.to_sign(&self.nonce);
        if self.key.verifies(&signed, signature) {
            Ok((self.key, self.token))
        } else {
            Err(KeyDenied::Unproven)
        }
    }
}

#[cfg(test)]
mod tests {
    use grpc_multiplexer_process::SshPrivateKey;

    use super::*;

    /// By `ssh-keygen -t ed25519 -N ''`.
    const KEY: &str = include_str!("../../../process/src/openssh/keys/first");

    fn claims(scheme: &str, data: &[u8]) -> Result<Option<Claim>, Refused> {
        Claim::of(Some(&Auth {
            scheme: scheme.to_owned(),
            data: data.to_vec(),
            ..Auth::default()
        }))
    }

    #[test]
    fn a_claim_is_a_whole_key_and_each_has_a_nonce_of_its_own() {
        let nonce = || claims(KEY_SCHEME, &[1; 32]).unwrap().unwrap().nonce();
        assert_ne!(nonce(), nonce());
        for wrong in [&[][..], &[1; 31], &[1; 33]] {
            let refused = claims(KEY_SCHEME, wrong).unwrap_err();
            assert_eq!(refused.code(), Code::Malformed);
        }
        assert!(claims("token", &[1; 32]).unwrap().is_none());
        assert!(Claim::of(None).unwrap().is_none());
    }

    #[test]
    fn a_proof_is_for_one_key_one_nonce_and_one_channel() {
        let key: SshPrivateKey = KEY.parse().unwrap();
        let (first, second) = (Channel::Tls([1; 32]), Channel::Tls([2; 32]));
        let proves = |claimed: &[u8; 32], over: &Channel, signed: &dyn Fn(&[u8]) -> Vec<u8>| {
            let claim = claims(KEY_SCHEME, claimed).unwrap().unwrap();
            let signature = key.sign(&signed(&claim.nonce()));
            claim.proven(over, &signature).is_ok()
        };
        let ours = key.public().bytes();
        for channel in [Channel::Plain, first] {
            assert!(proves(ours, &channel, &|nonce| channel.to_sign(nonce)));
            assert!(!proves(&[1; 32], &channel, &|nonce| channel.to_sign(nonce)));
            assert!(!proves(ours, &channel, &|_| channel.to_sign(&[0; 32])));
            assert!(!proves(ours, &channel, &|_| channel.to_sign(b"")));
            assert!(!proves(ours, &channel, &<[u8]>::to_vec));
        }
        for (signed, over) in [
            (first, second),
            (Channel::Plain, first),
            (first, Channel::Plain),
        ] {
            assert!(!proves(ours, &over, &|nonce| signed.to_sign(nonce)));
        }
    }
}
