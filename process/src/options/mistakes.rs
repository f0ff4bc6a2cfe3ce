//! What is wrong with a configuration, in words its author can act on.

use std::error::Error;
use std::fmt;

use super::{Leaf, OptionSpec, Origin};

/// Everything that is wrong with a configuration; its text has one line for each mistake, without a final newline.
///
/// A line says where the value came from, what it was (quoted, control characters escaped) and what would be right.
#[derive(Debug)]
pub struct Mistakes(Vec<Mistake>);

/// One line.
#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) option: &'static OptionSpec,
    /// The offending leaves; none when the option was not given.
    pub(super) leaves: Vec<Leaf>,
    pub(super) reason: String,
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
}

impl Error for Mistakes {}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{mistake}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // All leaves of a path come from one layer, so the first speaks for their origin.
        match self.leaves.first().map(|leaf| leaf.origin) {
            None => write!(f, "option {}: ", self.option.path)?,
            Some(Origin::Default) => write!(f, "default of {}: ", self.option.path)?,
            Some(Origin::Flag) => write!(f, "flag {}: ", self.option.flag())?,
        }
        for (index, leaf) in self.leaves.iter().enumerate() {
            let before = if index > 0 { ", " } else { "" };
            write!(f, "{before}{:?}", leaf.value)?;
        }
        let before = if self.leaves.is_empty() { "" } else { ": " };
        write!(f, "{before}{}", self.reason)
    }
}
