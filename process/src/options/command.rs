//! The command line, as clap sees it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::OsStringValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::hidden::visible_bytes;
use super::leaves::Layer;
use super::{Leaf, Mode, OptionSpec, Origin, Program};

/// Names the configuration file; a flag and a variable, but no key of the file.
pub(super) const CONFIG: &str = "config";
const CHECK_CONFIG: &str = "check-config";
const PRINT_CONFIG: &str = "print-config";

/// What the command line says.
#[derive(Debug, Clone)]
pub(crate) struct Flags {
    pub(super) layer: Layer,
    pub(super) config: Option<PathBuf>,
    pub(super) mode: Mode,
}

impl Program {
    /// The command line as clap sees it: one flag per option, and those about the configuration itself.
    #[must_use]
    pub fn command(&self) -> Command {
        Command::new(self.name)
            .bin_name(self.name)
            .about(self.about)
            .version(self.version)
            .after_help(self.epilogue)
            .max_term_width(100)
            .next_line_help(true)
            .args(self.options.iter().map(|option| self.arg(option)))
            .args(self.about_the_configuration())
    }

    fn arg(&self, option: &OptionSpec) -> Arg {
        let action = if option.many {
            ArgAction::Append
        } else {
            ArgAction::Set
        };
        value_arg(option.path, option.value_name, self.help(option))
            .long(option.long())
            .action(action)
            .allow_hyphen_values(true)
    }

    /// Meaning, default, key and variable, in this order.
    fn help(&self, option: &OptionSpec) -> String {
        let default = match option.default {
            Some(default) => format!("[default: {default}] "),
            None => String::new(),
        };
        let many = if option.has_pairs() {
            " (repeatable; keys with values in the file, separated by commas in the variable)"
        } else if option.many {
            " (repeatable; a list in the file, separated by commas in the variable)"
        } else {
            ""
        };
        format!(
            "{}{many}\n{default}[key: {}]\n[variable: {}]",
            option.help,
            option.path.replace('.', ": "),
            self.variable(option.path),
        )
    }

    fn about_the_configuration(&self) -> [Arg; 3] {
        let places = format!(
            "The configuration file, in YAML. Without one, the first that exists of $HOME/.{name} (a file, or a folder \
             with {name}.yaml), $HOME/.{name}.yaml and {etc}/{name}.yaml\n[variable: {variable}]",
            name = self.name,
            etc = super::file::ETC,
            variable = self.variable(CONFIG),
        );
        let switch = |name, help| {
            Arg::new(name)
                .long(name)
                .action(ArgAction::SetTrue)
                .help(help)
        };
        [
            value_arg(CONFIG, "FILE", places).long(CONFIG),
            switch(
                CHECK_CONFIG,
                "Say every mistake in the configuration, or that there is none, and start nothing",
            )
            .conflicts_with(PRINT_CONFIG),
            switch(
                PRINT_CONFIG,
                "Print every option in force and where it comes from, as a configuration file, and start nothing",
            ),
        ]
    }

    /// What the command line `args` says; the first of them is the name the program was called by.
    pub(super) fn flags(
        &self,
        args: impl IntoIterator<Item = OsString>,
    ) -> Result<Flags, clap::Error> {
        self.flags_by(self.command(), args)
    }

    /// The same of a command line that [`flags`](Self::flags) refuses: whatever can be understood of it.
    pub(super) fn flags_understood(
        &self,
        args: impl IntoIterator<Item = OsString>,
    ) -> Option<Flags> {
        self.flags_by(self.command().ignore_errors(true), args).ok()
    }

    fn flags_by(
        &self,
        mut command: Command,
        args: impl IntoIterator<Item = OsString>,
    ) -> Result<Flags, clap::Error> {
        let mut matches = command.try_get_matches_from_mut(args)?;
        let mut layer = Layer::default();
        for option in self.options {
            let leaves: Result<Vec<_>, _> = values(&mut matches, option.path)
                .map(|value| leaf(&mut command, option, value))
                .collect();
            let leaves = leaves?;
            if !leaves.is_empty() {
                layer.values.insert(option.path, leaves);
            }
        }
        Ok(Flags {
            layer,
            config: matches.remove_one::<OsString>(CONFIG).map(PathBuf::from),
            mode: mode(&matches),
        })
    }
}

fn value_arg(name: &'static str, value_name: &'static str, help: String) -> Arg {
    Arg::new(name)
        .value_name(value_name)
        .help(help)
        // clap's own check of UTF-8 would not say which option is meant.
        .value_parser(OsStringValueParser::new())
}

fn mode(matches: &ArgMatches) -> Mode {
    // Not `get_flag`: on a command line that is wrong the values may be missing.
    let is_set = |name| matches.get_one::<bool>(name).is_some_and(|set| *set);
    if is_set(CHECK_CONFIG) {
        Mode::Check
    } else if is_set(PRINT_CONFIG) {
        Mode::Print
    } else {
        Mode::Run
    }
}

/// What the command line gave for an option.
fn values(matches: &mut ArgMatches, path: &str) -> impl Iterator<Item = OsString> + use<> {
    let given = matches.value_source(path) == Some(ValueSource::CommandLine);
    let values = given.then(|| matches.remove_many(path)).flatten();
    values.into_iter().flatten()
}

fn leaf(command: &mut Command, option: &OptionSpec, value: OsString) -> Result<Leaf, clap::Error> {
    let flag = option.flag();
    match value.into_string() {
        Ok(value) => Ok(Leaf {
            value,
            origin: Origin::Flag { flag },
        }),
        Err(value) => {
            let value = visible_bytes(option, &value);
            let text = format!("the value of '{flag}' is not UTF-8: {value}");
            Err(command.error(ErrorKind::InvalidUtf8, text))
        }
    }
}
