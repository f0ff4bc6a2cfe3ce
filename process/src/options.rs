//! One table of options, from which flags, help and defaults come, and the reading of it.
//!
//! Each source of values (the table's defaults, the command line) is a layer of string *leaves* that remember where they
//! came from; a higher layer replaces a lower one's values of the same path. Leaves stay strings until a [`Reader`]
//! parses them one by one, so that `--client-id 0123` stays `0123` and all mistakes are found in one go.

mod leaves;
mod mistakes;
mod reader;

use std::ffi::OsString;

use clap::builder::OsStringValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

pub use leaves::{Leaf, Leaves, Origin};
pub use mistakes::Mistakes;
pub use reader::Reader;

/// One row of the table: everything there is to say about an option, apart from how its value is parsed.
#[derive(Debug, Clone, Copy)]
pub struct OptionSpec {
    /// Kebab-case path with nested parts joined by `.`, as in `proxy.tls.certificate`; unique in its table.
    pub path: &'static str,
    /// What stands for the value in the help, as in `HOST:PORT`.
    pub value_name: &'static str,
    /// The value when nothing else gives one, written as a user would write it.
    pub default: Option<&'static str>,
    /// Whether the option takes several values, each by a flag of its own.
    pub many: bool,
    /// One sentence without a full stop: what the option does, with its unit.
    pub help: &'static str,
}

/// A program as its user sees it: a name and a table of options.
///
/// Tests of a table call `command().debug_assert()`, which finds flags that are not unique.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// The name of the binary.
    pub name: &'static str,
    /// One sentence for the top of the help.
    pub about: &'static str,
    /// What `--version` prints after the name.
    pub version: &'static str,
    /// Every option but `--help` and `--version`, in the order of the help.
    pub options: &'static [OptionSpec],
}

impl OptionSpec {
    /// The flag, with its dashes: `proxy.tls.certificate` is `--proxy-tls-certificate`.
    #[must_use]
    pub fn flag(&self) -> String {
        format!("--{}", self.long())
    }

    fn long(&self) -> String {
        self.path.replace('.', "-")
    }

    fn arg(&self) -> Arg {
        let (action, help) = if self.many {
            (ArgAction::Append, format!("{} (repeatable)", self.help))
        } else {
            (ArgAction::Set, self.help.to_owned())
        };
        Arg::new(self.path)
            .long(self.long())
            .value_name(self.value_name)
            .help(help)
            // Only for the help: the values themselves come from the table's own layer.
            .default_value(self.default)
            .action(action)
            .allow_hyphen_values(true)
            // clap's own check of UTF-8 would not say which option is meant.
            .value_parser(OsStringValueParser::new())
    }
}

impl Program {
    /// The command line as clap sees it: one flag per option, `--help` and `--version`.
    #[must_use]
    pub fn command(&self) -> Command {
        Command::new(self.name)
            .bin_name(self.name)
            .about(self.about)
            .version(self.version)
            .max_term_width(100)
            .args(self.options.iter().map(OptionSpec::arg))
    }

    /// The leaves of every layer: the table's defaults, and over them the flags among `args`.
    ///
    /// The first of `args` is the name the program was called by, as in [`std::env::args_os`].
    ///
    /// # Errors
    ///
    /// An unknown flag, a flag given twice that takes one value, a missing value, a value that is not UTF-8. Asking for
    /// the help or the version arrives here as well, with exit code 0: `error.exit()` does the right thing for all.
    pub fn leaves(&self, args: impl IntoIterator<Item = OsString>) -> Result<Leaves, clap::Error> {
        let mut command = self.command();
        let mut matches = command.try_get_matches_from_mut(args)?;
        let mut leaves = Leaves::of_defaults(self.options);
        for option in self.options {
            if let Some(values) = flag_values(&mut matches, option.path) {
                let values = values
                    .map(|value| utf8(&mut command, option, value))
                    .collect::<Result<_, _>>()?;
                leaves.put(option.path, Origin::Flag, values);
            }
        }
        Ok(leaves)
    }
}

/// What the command line itself gave, without clap's copy of the default.
fn flag_values(
    matches: &mut ArgMatches,
    path: &str,
) -> Option<impl Iterator<Item = OsString> + use<>> {
    match matches.value_source(path) {
        Some(ValueSource::CommandLine) => matches.remove_many(path),
        _ => None,
    }
}

fn utf8(
    command: &mut Command,
    option: &OptionSpec,
    value: OsString,
) -> Result<String, clap::Error> {
    value.into_string().map_err(|value| {
        let text = format!("the value of '{}' is not UTF-8: {value:?}", option.flag());
        command.error(ErrorKind::InvalidUtf8, text)
    })
}

#[cfg(test)]
mod tests;
