//! What an edge shows to servers that ask for a token.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use grpc_multiplexer_process::{HostPort, NamedFile, Reader};
use grpc_multiplexer_tunnel::message::Auth;
use grpc_multiplexer_tunnel::{LONGEST_TOKEN, TOKEN_SCHEME};
use tonic::metadata::{Ascii, MetadataValue};

/// The option of its file.
pub(crate) const TOKEN_FILE: &str = "token-file";
/// The option of the file of one that is exchanged for a key.
pub(crate) const ENROLMENT_TOKEN_FILE: &str = "enrolment-token-file";

/// Least characters. Servers keep tokens under a fast hash, which hides only what nobody can guess.
const SHORTEST: usize = 32;

/// A token: a random text that servers know by its SHA-256, or a JSON Web Token. Its `Debug` does not show it.
///
/// ```
/// use grpc_multiplexer_client::EdgeToken;
///
/// let token: EdgeToken = "5f0c2d1e9a7b4836c1d2e3f405162738".parse()?;
/// assert_eq!(format!("{token:?}"), "EdgeToken(secret)");
/// # Ok::<(), grpc_multiplexer_client::EdgeTokenError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct EdgeToken(Arc<str>);

/// The text is no token. Nothing of it is in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EdgeTokenError {
    /// Too easy to guess.
    #[error(
        "the token has {0} characters; it needs at least {SHORTEST} random ones, as made by: grpc-multiplexer-server new-token"
    )]
    Short(usize),
    /// Hardly a token.
    #[error("the token is longer than {LONGEST_TOKEN} characters")]
    Long,
    /// Blanks, further lines, or what is not ASCII.
    #[error("a token is one word, of letters, digits and signs of ASCII")]
    Characters,
}

/// The final newline of a file does not count.
impl FromStr for EdgeToken {
    type Err = EdgeTokenError;

    fn from_str(text: &str) -> Result<Self, EdgeTokenError> {
        let token = text.trim_ascii();
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(EdgeTokenError::Characters);
        }
        match token.len() {
            short @ ..SHORTEST => Err(EdgeTokenError::Short(short)),
            SHORTEST..=LONGEST_TOKEN => Ok(Self(token.into())),
            _ => Err(EdgeTokenError::Long),
        }
    }
}

impl EdgeToken {
    /// The one in the file that the option at `path` names, if it is given. It must not go to a server that is `far` and would
    /// get it in plain text; `ca` is the option that asks for TLS.
    pub(crate) fn read(
        reader: &mut Reader<'_>,
        path: &str,
        ca: &str,
        far: Option<&HostPort>,
    ) -> Option<Self> {
        let file = reader.secret_file(path)?;
        Self::of(&file, reader, path, ca, far)
    }

    /// The same where the file was read already.
    pub(crate) fn of(
        file: &NamedFile,
        reader: &mut Reader<'_>,
        path: &str,
        ca: &str,
        far: Option<&HostPort>,
    ) -> Option<Self> {
        if let Some(server) = far {
            let flag = reader.flag(ca);
            let reason = format!(
                "the token would go to {server} in plain text; give {flag} with a file, or with `system`"
            );
            reader.mistake(path, reason);
        }
        // What is no text has no characters of a token.
        let token = String::from_utf8_lossy(&file.contents).parse();
        let token = token.map_err(|error: EdgeTokenError| reader.mistake(path, error));
        token.ok()
    }

    /// As an edge shows it.
    pub(crate) fn auth(&self) -> Auth {
        Auth {
            scheme: TOKEN_SCHEME.to_owned(),
            data: self.bytes(),
            ..Auth::default()
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.as_bytes().to_vec()
    }

    /// As a caller shows it.
    pub(crate) fn bearer(&self) -> MetadataValue<Ascii> {
        let value = format!("Bearer {}", self.0).parse();
        let mut value: MetadataValue<Ascii> = value.expect("a token is graphic ASCII");
        value.set_sensitive(true);
        value
    }
}

impl fmt::Debug for EdgeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EdgeToken(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_long_word() {
        let word = |length| "x".repeat(length);
        for (text, wanted) in [
            (String::new(), Err(EdgeTokenError::Short(0))),
            (word(SHORTEST - 1) + "\n", Err(EdgeTokenError::Short(31))),
            (word(SHORTEST) + "\r\n", Ok(())),
            (word(LONGEST_TOKEN), Ok(())),
            (word(LONGEST_TOKEN + 1), Err(EdgeTokenError::Long)),
            (word(40) + " " + &word(40), Err(EdgeTokenError::Characters)),
            (word(40) + "\n" + &word(40), Err(EdgeTokenError::Characters)),
            (word(40) + "ä", Err(EdgeTokenError::Characters)),
        ] {
            let token = text.parse::<EdgeToken>();
            assert_eq!(token.map(drop), wanted, "{text:?}");
        }
    }
}
