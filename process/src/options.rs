//! One table of options, from which flags, variables, keys of the file, help and defaults come, and the reading of it.
//!
//! Each source of values (the table's defaults, the configuration file, the environment, the command line) is a layer of
//! string *leaves* that remember where they came from; a higher layer replaces a lower one's values of the same path.
//! Leaves stay strings until a [`Reader`] parses them one by one, so that `client-id: 0123` stays `0123` and all mistakes
//! are found in one go.

mod command;
mod environment;
mod file;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod hidden;
mod leaves;
mod mistakes;
mod named;
mod print;
mod reader;
mod rights;
mod sources;
mod suggest;
mod yaml;

use std::ffi::OsString;

pub(crate) use file::exists;
pub use leaves::{Leaf, Leaves, Origin};
pub use mistakes::Mistakes;
pub use named::NamedFile;
pub(crate) use named::{Files, named};
pub(crate) use print::print;
pub(crate) use reader::Noticed;
pub use reader::Reader;
pub(crate) use rights::Secrecy;
pub(crate) use sources::{Given, Mode, Sources};
pub use yaml::{NoYaml, Place, Yaml, YamlKey};

/// One row of the table: everything there is to say about an option, apart from how its value is parsed.
#[derive(Debug, Clone, Copy)]
pub struct OptionSpec {
    /// Kebab-case path with nested parts joined by `.`, as in `proxy.tls.certificate`; unique in its table.
    ///
    /// It is the key in the configuration file, where each part is a level of its own.
    pub path: &'static str,
    /// What stands for the value in the help, as in `HOST:PORT`. It begins with `FILE` where a file is to be named: what looks
    /// like the contents of one, and not like its name, is not shown then. Several values of `KEY=VALUE` are keys with values
    /// in the file.
    pub value_name: &'static str,
    /// The value when nothing else gives one, written as a user would write it; several are separated by commas.
    pub default: Option<&'static str>,
    /// Whether the option takes several values: each by a flag of its own, as a list in the file, separated by commas in
    /// the environment. Where each is a pair, the flag has the name of one: that of `labels` is `--label`.
    pub many: bool,
    /// Whether the value is never shown, neither in mistakes nor among the options in force.
    pub secret: bool,
    /// Whether a process takes a new value while it runs; any other option needs a restart.
    pub reload: bool,
    /// One sentence without a full stop: what the option does, with its unit.
    pub help: &'static str,
}

/// A program as its user sees it: a name and a table of options.
///
/// Tests of a table call [`check`](Self::check).
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// The name of the binary; files and variables are named after it.
    pub name: &'static str,
    /// One sentence for the top of the help.
    pub about: &'static str,
    /// What `--version` prints after the name.
    pub version: &'static str,
    /// Every option that is a key of the configuration file, in the order of the help.
    pub options: &'static [OptionSpec],
    /// What the help ends with; may be empty.
    pub epilogue: &'static str,
}

impl OptionSpec {
    /// The flag, with its dashes: `proxy.tls.certificate` is `--proxy-tls-certificate`.
    #[must_use]
    pub fn flag(&self) -> String {
        format!("--{}", self.long())
    }

    fn long(&self) -> String {
        let long = self.path.replace('.', "-");
        match long.strip_suffix('s') {
            Some(one) if self.has_pairs() => one.to_owned(),
            _ => long,
        }
    }

    /// Whether its values are keys with values.
    fn has_pairs(&self) -> bool {
        self.many && self.value_name == "KEY=VALUE"
    }
}

impl Program {
    /// The environment variable of an option: of `log-level`, `GRPC_MULTIPLEXER_SERVER_LOG_LEVEL`.
    #[must_use]
    pub fn variable(&self, path: &str) -> String {
        let path = path.replace(['.', '-'], "_").to_uppercase();
        format!("{}{path}", self.prefix())
    }

    /// What the names of all of our variables begin with.
    fn prefix(&self) -> String {
        format!("{}_", self.name.replace('-', "_").to_uppercase())
    }

    /// The leaves of the table's defaults and, over them, of the flags among `args`; no file and no variable is read.
    ///
    /// The first of `args` is the name the program was called by, as in [`std::env::args_os`].
    ///
    /// # Errors
    ///
    /// An unknown flag, a flag given twice that takes one value, a missing value, a value that is not UTF-8. Asking for
    /// the help or the version arrives here as well, with exit code 0: `error.exit()` does the right thing for all.
    pub fn leaves(&self, args: impl IntoIterator<Item = OsString>) -> Result<Leaves, clap::Error> {
        let mut leaves = Leaves::of_defaults(self.options);
        leaves.lay(self.flags(args)?.layer);
        Ok(leaves)
    }

    /// Checks what must hold for every table.
    ///
    /// # Panics
    ///
    /// When two options share a flag or a variable, when an option's variable is one that Kubernetes may set for a
    /// service of the program's name, or when clap finds fault with a flag.
    pub fn check(&self) {
        self.command().debug_assert();
        let mut variables: Vec<_> = self.variables().collect();
        variables.sort();
        for pair in variables.windows(2) {
            assert_ne!(pair[0], pair[1], "two options have the same variable");
        }
        for variable in variables {
            let clash = environment::is_of_kubernetes(&variable[self.prefix().len()..]);
            assert!(!clash, "{variable} may be set by Kubernetes");
        }
    }

    /// The variables of all options, and that of `--config`.
    fn variables(&self) -> impl Iterator<Item = String> {
        let paths = self.options.iter().map(|option| option.path);
        paths
            .chain([command::CONFIG])
            .map(|path| self.variable(path))
    }
}

#[cfg(test)]
mod tests;
