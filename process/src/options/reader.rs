//! Leaves to domain values, collecting every mistake on the way.

use std::fmt::Display;
use std::path::PathBuf;

use super::file::exists;
use super::hidden::looks_like_contents;
use super::mistakes::Mistake;
use super::named::{NamedFile, Seen, named};
use super::rights::Secrecy;
use super::{Leaf, Leaves, Mistakes, Origin};
use crate::tls::Certificate;

/// Parses leaves one by one and keeps every mistake, so that a user can mend all of them at once.
///
/// The readings return `None` (or a shorter list) for what is mistaken and reading goes on; [`finish`](Self::finish)
/// then reports the mistakes, or builds the configuration. A parser's error says what would be right.
///
/// ```
/// # use grpc_multiplexer_process::{HostPort, Leaves, Mistakes, Reader, duration};
/// # use std::time::Duration;
/// struct Config {
///     listener: HostPort,
///     drain: Duration,
///     warm_up: Option<Duration>,
/// }
///
/// fn read(leaves: &Leaves) -> Result<Config, Mistakes> {
///     let mut reader = Reader::new(leaves);
///     let listener = reader.one("proxy-listener", str::parse::<HostPort>);
///     let drain = reader.one("drain-timeout", duration);
///     let warm_up = reader.optional("warm-up", duration);
///     if warm_up.zip(drain).is_some_and(|(warm_up, drain)| warm_up > drain) {
///         reader.mistake("warm-up", "must not be longer than drain-timeout");
///     }
///     reader.finish(|| {
///         Some(Config {
///             listener: listener?,
///             drain: drain?,
///             warm_up,
///         })
///     })
/// }
/// ```
///
/// # Panics
///
/// Every method that takes a path panics when the option table has no such row, or when a row that takes several values
/// is read as one: the code and its table disagree, whatever the user wrote.
#[derive(Debug)]
pub struct Reader<'a> {
    leaves: &'a Leaves,
    mistakes: Vec<Mistake>,
    noticed: Noticed,
}

/// What was found on the way, beside the values.
#[derive(Debug, Default)]
pub(crate) struct Noticed {
    /// Files that were read.
    pub(crate) files: Vec<Seen>,
    /// Certificates in them that are to be used.
    pub(crate) certificates: Vec<Certificate>,
    /// What is odd, and no mistake.
    pub(crate) warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    /// A reader that knows the mistakes in the sources of `leaves`, and none in their values so far.
    #[must_use]
    pub fn new(leaves: &'a Leaves) -> Self {
        Self {
            leaves,
            mistakes: leaves.mistakes().to_vec(),
            noticed: Noticed::default(),
        }
    }

    /// The value at `path`, which has to be there; `None` only with a mistake kept.
    pub fn one<T, E: Display>(
        &mut self,
        path: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        if self.leaves.at(path).is_empty() {
            let option = self.leaves.option(path);
            let reason = format!(
                "a value is required, as in {} <{}>",
                option.flag(),
                option.value_name
            );
            self.mistake(path, reason);
        }
        self.optional(path, parse)
    }

    /// The value at `path`; `None` when there is none, and when it is mistaken.
    pub fn optional<T, E: Display>(
        &mut self,
        path: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        assert!(
            !self.leaves.option(path).many,
            "{path} takes several values"
        );
        self.many(path, parse).pop()
    }

    /// Every value at `path` that is no mistake, in the order given; empty when there is none.
    ///
    /// Values that a higher layer replaced are parsed as well, for their mistakes: else one would lie in wait for the day
    /// on which the higher layer goes.
    pub fn many<T, E: Display>(
        &mut self,
        path: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let leaves = self.leaves;
        for leaf in leaves.replaced_at(path) {
            self.parse(path, leaf, &parse);
        }
        leaves
            .at(path)
            .iter()
            .filter_map(|leaf| self.parse(path, leaf, &parse))
            .collect()
    }

    /// The file that the value at `path` names; `None` when there is no value, and when the file is mistaken. From then on
    /// the process looks at it, and reads all options again when it changes.
    ///
    /// Unlike other values, one that a higher layer replaced is not tried: a file may be for another machine.
    pub fn file(&mut self, path: &str) -> Option<NamedFile> {
        self.named(path, Secrecy::Anybody)
    }

    /// The same for a file that no other user may be able to read.
    pub fn secret_file(&mut self, path: &str) -> Option<NamedFile> {
        self.named(path, Secrecy::Nobody)
    }

    /// The same for one that the program makes where there is none: then it is where that is to be.
    pub fn secret_file_to_be(&mut self, path: &str) -> Option<Result<NamedFile, PathBuf>> {
        let value = &self.leaves.at(path).first()?.value;
        let place = PathBuf::from(value);
        // A key itself, given in place of its file's name, is not to become a name.
        if exists(&place) || looks_like_contents(value) {
            return self.secret_file(path).map(Ok);
        }
        self.noticed.files.push(Seen::nothing(place.clone()));
        Some(Err(place))
    }

    fn named(&mut self, path: &str, secrecy: Secrecy) -> Option<NamedFile> {
        let (seen, file) = named(&self.leaves.at(path).first()?.value, secrecy);
        self.noticed.files.push(seen);
        file.map_err(|reason| self.mistake(path, reason)).ok()
    }

    /// Keeps something that is odd, and no mistake.
    pub fn warn(&mut self, text: String) {
        self.noticed.warnings.push(text);
    }

    /// Keeps a certificate that is to be used.
    pub(crate) fn in_use(&mut self, certificate: Option<Certificate>) {
        self.noticed.certificates.extend(certificate);
    }

    /// What was noticed since this was called last.
    pub(crate) fn take_noticed(&mut self) -> Noticed {
        std::mem::take(&mut self.noticed)
    }

    /// Whether there is a value at `path`, mistaken or not.
    #[must_use]
    pub fn is_set(&self, path: &str) -> bool {
        !self.leaves.at(path).is_empty()
    }

    /// The flag of the option at `path`, with its dashes.
    #[must_use]
    pub fn flag(&self, path: &str) -> String {
        self.leaves.option(path).flag()
    }

    /// Whether nobody gave a value at `path`, so that the table's default holds.
    #[must_use]
    pub fn is_default(&self, path: &str) -> bool {
        let leaves = self.leaves.at(path);
        leaves.iter().all(|leaf| leaf.origin == Origin::Default)
    }

    /// Keeps a mistake that lies in how `path` goes together with other options; `reason` says what would be right.
    pub fn mistake(&mut self, path: &str, reason: impl Display) {
        self.keep(path, self.leaves.at(path), &reason);
    }

    /// The configuration that `build` makes, unless there are mistakes.
    ///
    /// `build` returns an `Option` so that it can use `?` on what [`one`](Self::one) gave.
    ///
    /// # Errors
    ///
    /// Every mistake: those of the sources, then those of the values, in the order of reading.
    ///
    /// # Panics
    ///
    /// When `build` returns `None` though there is no mistake, which `?` on values of `one` never does.
    pub fn finish<C>(self, build: impl FnOnce() -> Option<C>) -> Result<C, Mistakes> {
        Mistakes::none_of(self.mistakes)?;
        Ok(build().expect("a value is absent only with a mistake kept"))
    }

    fn parse<T, E: Display>(
        &mut self,
        path: &str,
        leaf: &Leaf,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        parse(&leaf.value)
            .map_err(|error| self.keep(path, std::slice::from_ref(leaf), &error))
            .ok()
    }

    fn keep(&mut self, path: &str, leaves: &[Leaf], reason: &dyn Display) {
        let option = self.leaves.option(path);
        self.mistakes
            .push(Mistake::of(option, leaves, reason.to_string()));
    }
}
