//! String values by path, each path with the layer that won.

use std::collections::BTreeMap;

use super::OptionSpec;

/// Where a leaf came from, in ascending order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Origin {
    /// The option table.
    Default,
    /// The command line.
    Flag,
}

/// One value, unparsed, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The value as it was written.
    pub value: String,
    /// The layer that gave it.
    pub origin: Origin,
}

/// Every value that a program was given, for [`Reader`](super::Reader) to parse.
#[derive(Debug, Clone)]
pub struct Leaves {
    options: &'static [OptionSpec],
    by_path: BTreeMap<&'static str, Vec<Leaf>>,
}

impl Leaves {
    /// The lowest layer.
    pub(super) fn of_defaults(options: &'static [OptionSpec]) -> Self {
        let mut leaves = Self {
            options,
            by_path: BTreeMap::new(),
        };
        for option in options {
            if let Some(default) = option.default {
                leaves.put(option.path, Origin::Default, vec![default.to_owned()]);
            }
        }
        leaves
    }

    /// Replaces what lower layers said about `path`; layers are put in the order of [`Origin`].
    pub(super) fn put(&mut self, path: &'static str, origin: Origin, values: Vec<String>) {
        let leaves = values.into_iter().map(|value| Leaf { value, origin });
        self.by_path.insert(path, leaves.collect());
    }

    /// The leaves of `path`, in the order they were given; none when no layer has a value.
    #[must_use]
    pub fn at(&self, path: &str) -> &[Leaf] {
        self.by_path.get(path).map_or(&[], Vec::as_slice)
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
}
