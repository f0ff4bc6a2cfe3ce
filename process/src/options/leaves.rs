//! String values by path, each path with the layer that won.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::OptionSpec;
use super::hidden::visible;
use super::mistakes::{Mistake, printable};

/// Where a leaf came from, in ascending order of precedence.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// The option table.
    Default,
    /// The configuration file.
    File {
        /// As it was found or named.
        path: Arc<Path>,
        /// Counted from 1.
        line: usize,
        /// Where the value begins, in characters, counted from 1.
        column: usize,
    },
    /// The environment.
    Environment {
        /// The name of the variable.
        variable: String,
    },
    /// The command line.
    Flag {
        /// The flag with its dashes.
        flag: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line, column } => {
                write!(f, "{}:{line}:{column}", printable(&path.to_string_lossy()))
            }
            Self::Environment { variable } => write!(f, "variable {variable}"),
            Self::Flag { flag } => write!(f, "flag {flag}"),
        }
    }
}

/// One value, unparsed, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The value as it was written.
    pub value: String,
    /// The place that gave it.
    pub origin: Origin,
}

/// What one source says: values of options, and what is wrong with the source itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer {
    pub(super) values: BTreeMap<&'static str, Vec<Leaf>>,
    pub(super) mistakes: Vec<Mistake>,
}

/// A source that could not be read.
impl From<Mistake> for Layer {
    fn from(mistake: Mistake) -> Self {
        Self {
            values: BTreeMap::new(),
            mistakes: vec![mistake],
        }
    }
}

/// Every value that a program was given, for [`Reader`](super::Reader) to parse.
#[derive(Debug, Clone)]
pub struct Leaves {
    options: &'static [OptionSpec],
    in_force: BTreeMap<&'static str, Vec<Leaf>>,
    /// What higher layers replaced. It has no effect, but mistakes in it are mistakes.
    replaced: BTreeMap<&'static str, Vec<Leaf>>,
    mistakes: Vec<Mistake>,
}

impl Leaves {
    /// The lowest layer.
    pub(super) fn of_defaults(options: &'static [OptionSpec]) -> Self {
        let leaf = |value: &str| Leaf {
            value: value.to_owned(),
            origin: Origin::Default,
        };
        let of = |option: &OptionSpec| match option.default? {
            several if option.many => Some(several.split(',').map(leaf).collect()),
            one => Some(vec![leaf(one)]),
        };
        Self {
            options,
            in_force: options
                .iter()
                .filter_map(|option| Some((option.path, of(option)?)))
                .collect(),
            replaced: BTreeMap::new(),
            mistakes: Vec::new(),
        }
    }

    /// Replaces what lower layers said about the same paths; layers are laid in the order of [`Origin`].
    pub(super) fn lay(&mut self, layer: Layer) {
        for (path, leaves) in layer.values {
            if let Some(below) = self.in_force.insert(path, leaves) {
                self.replaced.entry(path).or_default().extend(below);
            }
        }
        self.mistakes.extend(layer.mistakes);
    }

    /// The leaves of `path` that are in force, in the order they were given; none when no layer has a value.
    #[must_use]
    pub fn at(&self, path: &str) -> &[Leaf] {
        self.in_force.get(path).map_or(&[], Vec::as_slice)
    }

    /// The leaves of `path` that a higher layer replaced.
    pub(super) fn replaced_at(&self, path: &str) -> &[Leaf] {
        self.replaced.get(path).map_or(&[], Vec::as_slice)
    }

    /// What is wrong with the layers themselves.
    pub(super) fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    /// The table.
    pub(crate) fn options(&self) -> &'static [OptionSpec] {
        self.options
    }

    /// The row of `path`.
    ///
    /// # Panics
    ///
    /// When the table has no such row: the code that reads it and the table disagree.
    pub(super) fn option(&self, path: &str) -> &'static OptionSpec {
        self.options
            .iter()
            .find(|option| option.path == path)
            .unwrap_or_else(|| panic!("the option table has no row for {path}"))
    }

    /// These leaves, with those of `paths` as `newer` has them.
    pub(crate) fn with<'p>(
        mut self,
        paths: impl IntoIterator<Item = &'p str>,
        newer: &Self,
    ) -> Self {
        for path in paths {
            let option = self.option(path);
            self.in_force.insert(option.path, newer.at(path).to_vec());
        }
        self
    }

    /// The values of `path`, as far as people may see them.
    pub(crate) fn shown(&self, option: &OptionSpec) -> String {
        let leaves = self.at(option.path).iter();
        let values: Vec<_> = leaves
            .map(|leaf| visible(option, &leaf.value).unwrap_or_else(Cow::Borrowed))
            .collect();
        match values.as_slice() {
            [] => "not set".to_owned(),
            [value] => value.to_string(),
            _ => format!("{values:?}"),
        }
    }
}
