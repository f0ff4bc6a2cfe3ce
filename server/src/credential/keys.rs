//! Client ids by Ed25519 keys.
//!
//! A key is an edge's own, and never leaves it: the server knows the public half, and the edge proves with each tunnel that
//! it has the other. A line of the file is made of what is in the edge's `.pub` file and the client ids in front of it, so
//! that a line which somebody else wrote, with whatever comment, grants nothing until it is said what.

use std::sync::Arc;

use grpc_multiplexer_process::{SshPublicKey, SshPublicKeyError};
use grpc_multiplexer_tunnel::ClientId;

use super::lines::{Granted, Said, WrongLine};
use super::scope::{BadWord, Lacking, Scope, Serves, among};

/// How the base64 of every kind of key begins.
const BASE64: &str = "AAAA";

/// The keys of edges, and what each grants. Clones share them.
///
/// ```
/// use grpc_multiplexer_server::Keys;
///
/// let text = "\
/// ## Anna's
/// rainbow kitchen-* /shop.Stock/* ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICQAP4F+ecyaQ/8wO54/+HqSz1Mk42Xesq7zTyaXAJN5 anna@laptop
/// ";
/// assert!(Keys::parse(text.as_bytes()).is_ok());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Keys(Arc<Granted<SshPublicKey>>);

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
enum Mistake {
    #[error(
        "it has no key; write client ids, and behind them what is in the edge's .pub file: ssh-ed25519 AAAA..."
    )]
    NoKey,
    #[error("{0}")]
    WrongKey(SshPublicKeyError),
    #[error("it names no client id; write those that the key grants in front of the key")]
    NoGrant,
    #[error(transparent)]
    BadWord(#[from] BadWord),
}

/// Why a key does not give an edge what it wants.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyDenied {
    #[error(
        "this server takes edges by key: give the edge --key-file, and no --tunnel-protocol legacy"
    )]
    Missing,
    #[error(
        "this server takes edges by key: give the edge --key-file, and with it --enrolment-token-file where the server does \
         not know the key, and no --tunnel-protocol legacy"
    )]
    MissingToEnrol,
    #[error(
        "the proof that the edge has its key is not one for this connection; whatever stands between the edge and this \
         server must let TLS through as it is"
    )]
    Unproven,
    #[error(
        "the server's --edges-keys does not have the key {0}, which is in the edge's --key-file; add a line for it, or \
         give the edge another"
    )]
    Unknown(SshPublicKey),
    #[error(
        "this server does not know the key {0}, which is in the edge's --key-file; give the edge --enrolment-token-file with a \
         new token for it, or the server another line"
    )]
    NotEnrolled(SshPublicKey),
    #[error(
        "the client id '{id}' is not among those that the edge's key grants: {granted}; give the edge one of those as \
         --client-id, or a key that grants it"
    )]
    OtherId { id: ClientId, granted: String },
}

impl Keys {
    /// Reads a file: on each line client ids, or their beginnings with `*` behind them, and the key that grants them, as it
    /// stands in its `.pub` file. Where methods stand among the ids, as `/package.Service/Method` or `/package.Service/*`, an
    /// edge with the key serves no others. What follows the key, and what follows `#`, is for people.
    ///
    /// # Errors
    ///
    /// Every wrong line, up to a number.
    pub fn parse(text: &[u8]) -> Result<Self, Vec<WrongLine>> {
        let keys = Granted::read(text, "key", parse)?;
        Ok(Self(Arc::new(keys)))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What `key` grants.
    pub(super) fn scope(&self, key: &SshPublicKey) -> Option<&Scope> {
        self.0.scope(key)
    }

    /// Whether each of these grants the same among `others`.
    pub(super) fn are_among(&self, others: &Self) -> bool {
        self.0.are_among(&others.0)
    }

    /// Sees that `key`, of which there was proof, has `id`: by these, or by what it grants since it was enrolled.
    pub(super) fn admit(
        &self,
        key: Option<&SshPublicKey>,
        enrolled: Option<&Scope>,
        id: &ClientId,
    ) -> Result<(SshPublicKey, Serves), KeyDenied> {
        let key = key.ok_or(KeyDenied::Missing)?;
        match among(self.scope(key).into_iter().chain(enrolled), id) {
            Ok(serves) => Ok((*key, serves)),
            Err(Lacking::Unknown) => Err(KeyDenied::Unknown(*key)),
            Err(Lacking::OtherId(granted)) => Err(KeyDenied::OtherId {
                id: id.clone(),
                granted,
            }),
        }
    }
}

/// What the key grants, the key, and its comment.
fn parse(words: &[&str]) -> Said<SshPublicKey, Mistake> {
    let key = words.iter().position(|word| *word == SshPublicKey::KIND);
    let Some((ids, key)) = key.map(|at| words.split_at(at)) else {
        let is_other = words.iter().any(|word| word.starts_with(BASE64));
        return Err(if is_other {
            Mistake::WrongKey(SshPublicKeyError::OtherKind)
        } else {
            Mistake::NoKey
        });
    };
    let key = SshPublicKey::of_words(&mut key.iter().copied()).map_err(Mistake::WrongKey)?;
    let scope = Scope::read(ids, 1)?;
    if scope.is_empty() {
        return Err(Mistake::NoGrant);
    }
    Ok((key, scope))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICQAP4F+ecyaQ/8wO54/+HqSz1Mk42Xesq7zTyaXAJN5";
    const B: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBXhJ1hrH/VH1/EjfXsag9TNO7HNRv+WhKeWPxbLKvdJ";

    fn admits(keys: &Keys, key: &str, id: &str) -> Result<(), String> {
        let key = SshPublicKey::of_words(&mut key.split(' ')).unwrap();
        let admitted = keys.admit(Some(&key), None, &id.parse().unwrap());
        admitted.map(drop).map_err(|denied| denied.to_string())
    }

    #[test]
    fn a_key_has_the_ids_of_its_line_and_two_may_have_one() {
        let text =
            format!("\n# Anna's\r\nrainbow kitchen-* {A} # and more\r\n\t rainbow\t{B} * b@host");
        let keys = Keys::parse(text.as_bytes()).unwrap();
        for (key, id, has) in [
            (A, "rainbow", true),
            (A, "kitchen-2", true),
            (A, "kitchen", false),
            (A, "Rainbow", false),
            (B, "rainbow", true),
            // What stands behind a key is no grant.
            (B, "kitchen-2", false),
        ] {
            assert_eq!(admits(&keys, key, id).is_ok(), has, "{key} {id}");
        }
        let said = admits(&keys, A, "garden").unwrap_err();
        assert!(said.contains("'garden' is not among") && said.contains("'rainbow', 'kitchen-*'"));
        let only = Keys::parse(format!("* {A}").as_bytes()).unwrap();
        assert!(admits(&only, A, "anything").is_ok());
        let said = admits(&only, B, "rainbow").unwrap_err();
        assert!(
            said.contains("does not have the key SHA256:f2yqhwQ8A20"),
            "{said}"
        );
    }

    #[test]
    fn every_wrong_line_is_told_with_its_number() {
        let lines = [
            &format!("rainbow {A} anna@laptop"),
            A,
            "rainbow",
            &format!("rainbow {}", &A[..70]),
            &format!("rainbow {}", A.replace("ssh-ed25519", "ssh-rsa")),
            &format!("rain@bow {B}"),
            &format!("ok - {B}"),
            // Of another line that is wrong only in that.
            &format!("garden {A}"),
            &format!("restrict,command=\"x\" {B}"),
            &format!("{B} rainbow"),
            &format!("rainbow /a.B {B}"),
        ];
        let wrong = Keys::parse(lines.join("\n").as_bytes()).unwrap_err();
        let said: Vec<_> = wrong.iter().map(ToString::to_string).collect();
        for (said, wanted) in said.iter().zip([
            "line 2: it names no client id; write those that the key grants in front of the key",
            "line 3: it has no key; write client ids",
            "line 4: its key is not whole",
            "line 5: its key is of another kind than ssh-ed25519",
            "line 6: the word number 1 ",
            "line 7: the word number 2 ",
            "line 8: the key is that of line 1",
            "line 9: the word number 1 ",
            "line 10: it names no client id",
            "line 11: the word number 2 is neither /package.Service/Method nor",
        ]) {
            assert!(said.starts_with(wanted), "{said}");
        }
        assert_eq!(said.len(), 10);
    }
}
