//! What the two files say.

use std::collections::HashSet;
use std::time::SystemTime;

use humantime::format_rfc3339_seconds;

use super::Wish;
use crate::credential::scope::Scope;
use crate::credential::{Digest, Keys};
use crate::state_dir::{StateDir, StateError};

/// The keys that were enrolled.
pub(super) const EDGES: &str = "enrolled-edges";
/// The tokens that were exchanged.
pub(super) const SPENT: &str = "spent-tokens";

/// What the SHA-256 of a line's token stands behind in the first.
const TOKEN: &str = "token:";

/// How each file begins that was made here.
const EDGES_HEAD: &str = "\
# Keys of edges that enrolled, as in a file of --edges-keys. Whose line is taken out loses its tunnel, and comes again only
# with a new token. Change it under the lock beside it, so that no edge enrols meanwhile whose line would be lost:
# flock lock sed -i '/^rainbow /d' enrolled-edges
";
const SPENT_HEAD: &str = "\
# SHA-256 of the tokens with which edges enrolled: they are good no more. Nothing in here is for people to change.
";

/// Both files, together with what they say.
#[derive(Debug)]
pub(super) struct Files {
    /// The text of the first, if it is there.
    pub(super) edges: Option<Vec<u8>>,
    pub(super) keys: Keys,
    /// The text of the second.
    pub(super) spent_text: Vec<u8>,
    /// What stands in either of them.
    pub(super) spent: HashSet<Digest>,
}

impl Files {
    /// Reads them. One that is not there is empty.
    pub(super) fn read(dir: &StateDir) -> Result<Self, StateError> {
        Self::with(dir.read(EDGES)?, dir)
    }

    /// The same where the text of the first was read already.
    pub(super) fn with(edges: Option<Vec<u8>>, dir: &StateDir) -> Result<Self, StateError> {
        Self::parse(edges, dir.read(SPENT)?.unwrap_or_default(), dir)
    }

    fn parse(
        edges: Option<Vec<u8>>,
        spent_text: Vec<u8>,
        dir: &StateDir,
    ) -> Result<Self, StateError> {
        let wrong = |file: &str, reason: String| StateError::wrong(&dir.path(file), reason);
        let text = edges.as_deref().unwrap_or_default();
        let keys = Keys::parse(text).map_err(|lines| {
            let lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
            wrong(EDGES, lines.join("; "))
        })?;
        let mut spent = listed(&spent_text).map_err(|line| {
            let reason =
                format!("line {line}: it must be the SHA-256 of a token, 64 hexadecimal digits");
            wrong(SPENT, reason)
        })?;
        spent.extend(tokens(text));
        Ok(Self {
            edges,
            keys,
            spent_text,
            spent,
        })
    }

    /// The same once that edge has that scope, and its token is spent.
    pub(super) fn and(
        self,
        Wish { key, token }: Wish,
        scope: &Scope,
        dir: &StateDir,
    ) -> Result<Self, StateError> {
        let (key, token) = (key.words(), token.hex());
        let now = format_rfc3339_seconds(SystemTime::now());
        let line = format!("{scope} {key} {TOKEN}{token} {now}");
        let mut edges = self.edges.unwrap_or_default();
        append(&mut edges, EDGES_HEAD, &line);
        let mut files = Self::parse(Some(edges), self.spent_text, dir)?;
        files.complete();
        Ok(files)
    }

    /// Writes into the second what is missing there; whether anything was.
    pub(super) fn complete(&mut self) -> bool {
        let there = listed(&self.spent_text).unwrap_or_default();
        let mut missing: Vec<_> = self.spent.difference(&there).map(Digest::hex).collect();
        missing.sort_unstable();
        for line in &missing {
            append(&mut self.spent_text, SPENT_HEAD, line);
        }
        !missing.is_empty()
    }
}

/// Adds a line. Who edited the file may have left the last one without its end.
fn append(text: &mut Vec<u8>, head: &str, line: &str) {
    if text.is_empty() {
        text.extend(head.as_bytes());
    }
    if !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    text.extend(line.as_bytes());
    text.push(b'\n');
}

/// The tokens of the second file, or the number of a wrong line.
fn listed(text: &[u8]) -> Result<HashSet<Digest>, usize> {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().zip(1..).filter_map(|(line, number)| {
        let word = line.split('#').next()?.trim();
        (!word.is_empty()).then(|| Digest::read(word).ok_or(number))
    });
    lines.collect()
}

/// Those of the first, also of lines that somebody made a comment of.
fn tokens(text: &[u8]) -> HashSet<Digest> {
    let text = String::from_utf8_lossy(text);
    let words = text.split_ascii_whitespace();
    words
        .filter_map(|word| Digest::read(word.strip_prefix(TOKEN)?))
        .collect()
}
