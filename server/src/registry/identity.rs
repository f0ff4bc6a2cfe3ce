//! How an edge proves that a further tunnel is its own.
//!
//! An edge's process says a random instance id with each hello, and gets a random token with each welcome. Both are
//! secrets: whoever knew them could take the edge's calls. So neither is ever logged or shown, and both are compared in
//! constant time.

use std::fmt;

use grpc_multiplexer_tunnel::message::Hello;
use grpc_multiplexer_tunnel::{SLOTS, Session};
use rand::Rng as _;
use subtle::{Choice, ConstantTimeEq as _};

use super::Generation;

/// Bytes that nobody may see.
#[derive(Clone)]
struct Secret<const N: usize>([u8; N]);

impl<const N: usize> Secret<N> {
    fn is(&self, bytes: &[u8]) -> Choice {
        self.0.ct_eq(bytes)
    }
}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("secret")
    }
}

/// What lets a later tunnel of the same edge in.
#[derive(Debug, Clone)]
pub(crate) struct Token(Secret<32>);

impl Token {
    pub(crate) fn random() -> Self {
        Self(Secret(rand::rng().random()))
    }

    /// As the edge gets it.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.0.to_vec()
    }
}

/// What an edge says of itself in its hello.
pub(crate) struct Identity {
    instance: Secret<16>,
    slot: u32,
    resume_token: Vec<u8>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}

/// A hello whose identity cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IdentityError {
    #[error("instance_id has {0} bytes; it must have 16, or none")]
    Instance(usize),
    #[error("tunnel_slot is {0}; this server takes 0 to {last}", last = SLOTS - 1)]
    Slot(u32),
}

impl Identity {
    /// What `hello` says. An edge may leave out its instance id; then no tunnel is ever known to be its own.
    pub(crate) fn of(hello: &Hello) -> Result<Option<Self>, IdentityError> {
        if hello.tunnel_slot >= SLOTS {
            return Err(IdentityError::Slot(hello.tunnel_slot));
        }
        if hello.instance_id.is_empty() {
            return Ok(None);
        }
        let instance = hello.instance_id[..]
            .try_into()
            .map_err(|_| IdentityError::Instance(hello.instance_id.len()))?;
        Ok(Some(Self {
            instance: Secret(instance),
            slot: hello.tunnel_slot,
            resume_token: hello.resume_token.clone(),
        }))
    }

    pub(super) fn slot(&self) -> u32 {
        self.slot
    }

    /// The token that it shows.
    fn token(&self) -> Option<Token> {
        let bytes = self.resume_token[..].try_into().ok()?;
        Some(Token(Secret(bytes)))
    }
}

/// The proof that one slot of an edge gives, for as long as the edge has any tunnel.
#[derive(Debug)]
pub(super) struct Proof {
    /// The generation of the edge's first tunnel. An instance id alone proves nothing, so it names nobody.
    pub(super) holder: Generation,
    slot: u32,
    instance: Secret<16>,
    token: Token,
    /// The token that the edge showed, which is all that it has while it is not known that the welcome with the new one
    /// arrived.
    shown: Option<Token>,
    session: Session,
}

impl Proof {
    /// That of a tunnel whose hello says `identity`, and whose welcome has `token`.
    pub(super) fn new(
        holder: Generation,
        identity: &Identity,
        token: Token,
        session: Session,
    ) -> Self {
        Self {
            holder,
            slot: identity.slot,
            instance: identity.instance.clone(),
            token,
            shown: identity.token(),
            session,
        }
    }

    /// Whether it is of the same slot of the same edge.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        (self.holder, self.slot) == (other.holder, other.slot)
    }

    /// Whether `identity` is that of the edge whose proof this is.
    pub(super) fn admits(&self, identity: &Identity) -> bool {
        let said = &identity.resume_token;
        let shown = self.shown.as_ref().filter(|_| !self.session.is_proven());
        let again = shown.map_or(Choice::from(0), |shown| shown.0.is(said));
        let token = self.token.0.is(said) | again;
        (token & self.instance.is(&identity.instance.0)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(instance: usize, slot: u32) -> Hello {
        Hello {
            instance_id: vec![1; instance],
            tunnel_slot: slot,
            ..Hello::default()
        }
    }

    #[test]
    fn an_identity_has_sixteen_bytes_or_none_and_a_slot_below_eight() {
        assert_eq!(Identity::of(&hello(16, 7)).unwrap().unwrap().slot(), 7);
        assert!(Identity::of(&hello(0, 7)).unwrap().is_none());
        for (hello, why) in [
            (
                hello(15, 0),
                "instance_id has 15 bytes; it must have 16, or none",
            ),
            (
                hello(17, 0),
                "instance_id has 17 bytes; it must have 16, or none",
            ),
            (hello(0, 8), "tunnel_slot is 8; this server takes 0 to 7"),
        ] {
            assert_eq!(Identity::of(&hello).unwrap_err().to_string(), why);
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let token = Token(Secret([0xab; 32]));
        let identity = Identity {
            instance: Secret([0xcd; 16]),
            slot: 3,
            resume_token: vec![0xef; 32],
        };
        let shown = format!("{token:?} {identity:?}");
        assert_eq!(shown, "Token(secret) Identity { slot: 3, .. }");
    }
}
