//! Client ids by tokens.
//!
//! A token is a random text that an edge and its line in a file have in common. The file holds its SHA-256, so whoever
//! reads the file has no token; that suffices, without a slow hash, because nobody chooses tokens: they are long and
//! random.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use grpc_multiplexer_tunnel::ClientId;
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq as _;

use super::lines::{Granted, Said, WrongLine};
use super::scope::{BadWord, Lacking, Scope, Serves};

/// The tokens of edges, and what each grants. Clones share them.
///
/// ```
/// use grpc_multiplexer_server::Tokens;
///
/// let text = "\
/// 4d1145def5d743a39576d432973127d793cbc906e34d14f73434f03f922f4b71 rainbow kitchen-*  # Anna's
/// ";
/// assert!(Tokens::parse(text.as_bytes()).is_ok());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Tokens(Arc<Granted<Digest>>);

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
enum Mistake {
    #[error(
        "it must begin with the SHA-256 of a token, 64 hexadecimal digits; the token itself is for the edge alone"
    )]
    NoDigest,
    #[error("it names no client id; write those that the token grants behind its SHA-256")]
    NoGrant,
    #[error(transparent)]
    BadWord(#[from] BadWord),
}

/// The SHA-256 of a token. That is all that is kept of one.
#[derive(Clone, Copy, Eq)]
pub(crate) struct Digest([u8; 32]);

/// The client ids of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Grant {
    Exactly(ClientId),
    Beginning(String),
}

/// The word grants nothing.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("must be a client id, or the beginning of one with * behind it")]
pub(crate) struct NoGrant;

/// Why a token does not give an edge what it wants.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenDenied {
    #[error(
        "this server takes edges by token: give the edge --token-file, and no --tunnel-protocol legacy"
    )]
    Missing,
    #[error(
        "the server's --edges-tokens does not have the token in the edge's --token-file; give the edge one that it has"
    )]
    Unknown,
    #[error(
        "the client id '{id}' is not among those that the edge's token grants: {granted}; give the edge one of those as \
         --client-id, or a token that grants it"
    )]
    OtherId { id: ClientId, granted: String },
}

impl Tokens {
    /// Reads a file: on each line the SHA-256 of a token in hexadecimal digits, and the client ids that it grants, or their
    /// beginnings with `*` behind them. Where methods stand among the ids, as `/package.Service/Method` or
    /// `/package.Service/*`, an edge with the token serves no others. What follows `#` is for people.
    ///
    /// # Errors
    ///
    /// Every wrong line, up to a number.
    pub fn parse(text: &[u8]) -> Result<Self, Vec<WrongLine>> {
        let tokens = Granted::read(text, "token", parse)?;
        Ok(Self(Arc::new(tokens)))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sees that `token` has `id`, and says what it may serve.
    pub(super) fn admit(
        &self,
        token: Option<&Digest>,
        id: &ClientId,
    ) -> Result<(Digest, Serves), TokenDenied> {
        let token = token.ok_or(TokenDenied::Missing)?;
        match self.0.admit(token, id) {
            Ok(serves) => Ok((*token, serves)),
            Err(Lacking::Unknown) => Err(TokenDenied::Unknown),
            Err(Lacking::OtherId(granted)) => Err(TokenDenied::OtherId {
                id: id.clone(),
                granted,
            }),
        }
    }
}

/// The SHA-256 of a token, and what it grants.
fn parse(words: &[&str]) -> Said<Digest, Mistake> {
    let (digest, words) = words.split_first().ok_or(Mistake::NoDigest)?;
    let digest = Digest::read(digest).ok_or(Mistake::NoDigest)?;
    let scope = Scope::read(words, 2)?;
    if scope.is_empty() {
        return Err(Mistake::NoGrant);
    }
    Ok((digest, scope))
}

impl Grant {
    pub(crate) fn parse(word: &str) -> Result<Self, NoGrant> {
        match word.strip_suffix('*') {
            None => word.parse().map(Self::Exactly).map_err(|_| NoGrant),
            // Of an id, or of every one.
            Some(beginning) if beginning.is_empty() || beginning.parse::<ClientId>().is_ok() => {
                Ok(Self::Beginning(beginning.to_owned()))
            }
            Some(_) => Err(NoGrant),
        }
    }

    /// An id that it grants, as does all that grants whatever this does.
    pub(crate) fn example(&self) -> ClientId {
        match self {
            Self::Exactly(id) => id.clone(),
            Self::Beginning(beginning) => {
                let example = beginning.parse().or_else(|_| "0".parse());
                example.expect("what is no id is the beginning of all")
            }
        }
    }

    pub(crate) fn has(&self, id: &ClientId) -> bool {
        match self {
            Self::Exactly(granted) => granted == id,
            Self::Beginning(beginning) => id.as_str().starts_with(beginning),
        }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(id) => write!(f, "{id}"),
            Self::Beginning(beginning) => write!(f, "{beginning}*"),
        }
    }
}

impl Digest {
    /// That of a token.
    pub(crate) fn of(token: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, token).as_ref());
        Self(bytes)
    }

    /// As files have it.
    pub(crate) fn hex(&self) -> String {
        hex(&self.0)
    }

    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let is_hex = text.len() == 64 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        for (byte, place) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(text.get(place..place + 2).filter(|_| is_hex)?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

/// In constant time; and what a table does by hash begins with a random key.
impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// Enough to find it in its file.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4]
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The line of a token in a file.
pub(crate) fn line(token: &str, grants: &[Grant]) -> String {
    let ids: Vec<_> = grants.iter().map(ToString::to_string).collect();
    format!("{} {}", Digest::of(token.as_bytes()).hex(), ids.join(" "))
}

/// Two digits for each byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "a token that has a few more than 32 characters";
    const B: &str = "another token, which is not a random one either";

    /// The SHA-256 of a token in a file.
    fn of(token: &str) -> String {
        line(token, &[]).trim_end().to_owned()
    }

    fn parse(text: &str) -> Tokens {
        Tokens::parse(text.as_bytes()).unwrap()
    }

    fn admits(tokens: &Tokens, token: &str, id: &str) -> Result<(), String> {
        let token = Digest::of(token.as_bytes());
        let admitted = tokens.admit(Some(&token), &id.parse().unwrap());
        admitted.map(drop).map_err(|denied| denied.to_string())
    }

    /// *Source:* FIPS 180-2, appendix B.1.
    #[test]
    fn a_digest_is_sha_256() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(Digest::of(b"abc") == Digest::read(abc).unwrap());
        assert!(Digest::of(b"abc") == Digest::read(&abc.to_uppercase()).unwrap());
        assert!(Digest::of(b"abd") != Digest::read(abc).unwrap());
        for wrong in [
            "",
            &abc[1..],
            &abc.replace('b', "g"),
            &abc.replace("ba", "+a"),
        ] {
            assert!(Digest::read(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_token_has_the_ids_of_its_line_and_two_may_have_one() {
        let (a, b) = (of(A), of(B).to_uppercase());
        let text = format!("\n# Anna's\r\n{a} rainbow kitchen-* # and more\r\n  {b}\trainbow");
        let tokens = parse(&text);
        for (token, id, has) in [
            (A, "rainbow", true),
            (A, "kitchen-", true),
            (A, "kitchen-2", true),
            (A, "kitchen", false),
            (A, "rainbow2", false),
            (A, "Rainbow", false),
            (B, "rainbow", true),
            (B, "kitchen-2", false),
        ] {
            assert_eq!(admits(&tokens, token, id).is_ok(), has, "{token} {id}");
        }
        assert!(admits(&parse(&format!("{a} *")), A, "anything").is_ok());
        let said = admits(&tokens, A, "garden").unwrap_err();
        assert!(said.contains("'garden' is not among") && said.contains("'rainbow', 'kitchen-*'"));
        let said = admits(&tokens, "a third", "rainbow").unwrap_err();
        assert!(said.contains("does not have the token") && !said.contains("a third"));
    }

    #[test]
    fn every_wrong_line_is_told_with_its_number_and_nothing_of_it() {
        let (a, b) = (of(A), of(B));
        let lines = [
            a.clone(),
            format!("{a} rainbow"),
            format!("{A} rainbow"),
            format!("{b} rain*bow"),
            format!("{b} ok -"),
            format!("{a} rainbow"),
            format!("{b}rainbow"),
        ];
        let wrong = Tokens::parse(lines.join("\n").as_bytes()).unwrap_err();
        let said: Vec<_> = wrong.iter().map(ToString::to_string).collect();
        for (said, wanted) in said.iter().zip([
            "line 1: it names no client id",
            "line 3: it must begin with the SHA-256",
            "line 4: the word number 2 ",
            "line 5: the word number 3 ",
            "line 6: the token is that of line 2",
            "line 7: it must begin with the SHA-256",
        ]) {
            assert!(said.starts_with(wanted), "{said}");
            assert!(!said.contains(A) && !said.contains("rain"), "{said}");
        }
        assert_eq!(said.len(), 6);
        let other = "another file\n".repeat(1000);
        let wrong = Tokens::parse(other.as_bytes()).unwrap_err();
        // Ten of them, and that there are more.
        assert_eq!(wrong.len(), 11);
        assert!(
            Tokens::parse(b"\xff").unwrap_err()[0]
                .to_string()
                .contains("UTF-8")
        );
    }

    #[test]
    fn a_digest_is_not_shown_whole() {
        let shown = format!("{:?} {}", Digest::of(b"abc"), Digest::of(b"abc"));
        assert_eq!(shown, "ba7816bf ba7816bf");
    }
}
