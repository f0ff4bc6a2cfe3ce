//! What is wrong with a configuration, in words its author can act on.

use std::error::Error;
use std::fmt;

use super::hidden::visible;
use super::{Leaf, OptionSpec, Origin};

/// Longer values are cut when they are shown: a whole file given as a value must not fill the terminal.
const LONGEST_SHOWN: usize = 200;

/// Everything that is wrong with a configuration; its text has one line for each mistake, without a final newline.
///
/// A line says where the value came from, what it was (quoted, control characters escaped) and what would be right.
#[derive(Debug)]
pub struct Mistakes(Vec<Mistake>);

/// One line.
#[derive(Debug, Clone)]
pub(super) struct Mistake {
    place: String,
    /// The offending values, quoted; none when there is no value.
    values: Vec<String>,
    reason: String,
}

impl Mistake {
    /// A mistake in a source itself: `place` says where, `reason` what would be right.
    pub(super) fn at(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            values: Vec::new(),
            reason: reason.into(),
        }
    }

    /// The same, with a value that is not one of an option in the table.
    pub(super) fn with_value(mut self, value: &str) -> Self {
        self.values.push(quoted(value));
        self
    }

    /// A mistake in the values of an option; no leaves when it has none.
    pub(super) fn of(option: &OptionSpec, leaves: &[Leaf], reason: impl Into<String>) -> Self {
        // All leaves of a path come from one layer, so the first speaks for their origin.
        let place = match leaves.first().map(|leaf| &leaf.origin) {
            None => format!("option {}", option.path),
            Some(Origin::Default) => format!("default of {}", option.path),
            Some(origin @ Origin::File { .. }) => format!("{origin}: {}", option.path),
            Some(origin @ (Origin::Environment { .. } | Origin::Flag { .. })) => origin.to_string(),
        };
        let value = |leaf: &Leaf| {
            let seen = visible(option, &leaf.value);
            seen.map_or_else(str::to_owned, |value| quoted(&value))
        };
        Self {
            place,
            values: leaves.iter().map(value).collect(),
            reason: reason.into(),
        }
    }
}

fn quoted(value: &str) -> String {
    match value.char_indices().nth(LONGEST_SHOWN) {
        Some((cut, _)) => format!("{:?}...", &value[..cut]),
        None => format!("{value:?}"),
    }
}

/// `text` on one line, cut when it is long: control characters are escaped.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::new();
    for (index, character) in text.chars().enumerate() {
        if index == LONGEST_SHOWN {
            shown.push_str("...");
            break;
        }
        if character.is_control() {
            shown.extend(character.escape_debug());
        } else {
            shown.push(character);
        }
    }
    shown
}

impl Mistakes {
    /// `Err` when there is at least one.
    pub(super) fn none_of(mistakes: Vec<Mistake>) -> Result<(), Self> {
        if mistakes.is_empty() {
            Ok(())
        } else {
            Err(Self(mistakes))
        }
    }

    /// The lines, one by one.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(ToString::to_string)
    }
}

impl Error for Mistakes {}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.lines().collect();
        f.write_str(&lines.join("\n"))
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.values.is_empty() {
            write!(f, "{}: ", self.values.join(", "))?;
        }
        f.write_str(&self.reason)
    }
}
