//! Files with a credential on each line, and what it grants.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Display;
use std::hash::Hash;

use grpc_multiplexer_tunnel::ClientId;

use super::scope::{Lacking, Scope, Serves, among};

/// Wrong lines that are told at once. Who names another file has thousands.
const TOLD: usize = 10;

/// A wrong line. Its text shows nothing of the line: it may hold a secret where it should not.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {mistake}")]
pub struct WrongLine {
    line: usize,
    mistake: String,
}

/// Credentials, and what each grants.
#[derive(Debug)]
pub(super) struct Granted<C>(HashMap<C, Line>);

/// What the words of one line say, or what is wrong with them.
pub(super) type Said<C, E> = Result<(C, Scope), E>;

/// What one line says.
#[derive(Debug)]
struct Line {
    number: usize,
    scope: Scope,
}

impl<C: Eq + Hash> Granted<C> {
    /// Reads a file of credentials that are called `what`. What follows `#` on a line is for people.
    ///
    /// # Errors
    ///
    /// Every wrong line, up to a number.
    pub(super) fn read<E: Display>(
        text: &[u8],
        what: &str,
        parse: impl Fn(&[&str]) -> Said<C, E>,
    ) -> Result<Self, Vec<WrongLine>> {
        let mut granted = Self::default();
        let mut wrong = Vec::new();
        for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
            let Err(mistake) = granted.add(number, line, what, &parse) else {
                continue;
            };
            let is_last = wrong.len() == TOLD;
            let mistake = if is_last {
                "it is wrong as well, and so may be those behind it".to_owned()
            } else {
                mistake
            };
            let line = number;
            wrong.push(WrongLine { line, mistake });
            if is_last {
                break;
            }
        }
        if wrong.is_empty() {
            Ok(granted)
        } else {
            Err(wrong)
        }
    }

    /// Adds what a line says, if anything.
    fn add<E: Display>(
        &mut self,
        number: usize,
        line: &[u8],
        what: &str,
        parse: impl Fn(&[&str]) -> Said<C, E>,
    ) -> Result<(), String> {
        let line = str::from_utf8(line)
            .map_err(|_| "it is not UTF-8; save the file in this encoding".to_owned())?;
        let said = line.split('#').next().unwrap_or_default();
        let words: Vec<_> = said.split_ascii_whitespace().collect();
        if words.is_empty() {
            return Ok(());
        }
        let (credential, scope) = parse(&words).map_err(|mistake| mistake.to_string())?;
        match self.0.entry(credential) {
            Entry::Occupied(known) => Err(format!(
                "the {what} is that of line {}; write all that it grants there",
                known.get().number
            )),
            Entry::Vacant(place) => {
                place.insert(Line { number, scope });
                Ok(())
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What `credential` grants.
    pub(super) fn scope(&self, credential: &C) -> Option<&Scope> {
        self.0.get(credential).map(|line| &line.scope)
    }

    /// Whether each of these grants the same among `others`.
    pub(super) fn are_among(&self, others: &Self) -> bool {
        let mut all = self.0.iter();
        all.all(|(credential, line)| others.scope(credential) == Some(&line.scope))
    }

    /// Sees that `credential` has `id`, and says what it may serve.
    pub(super) fn admit(&self, credential: &C, id: &ClientId) -> Result<Serves, Lacking> {
        among(self.scope(credential), id)
    }
}

impl<C> Default for Granted<C> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}
