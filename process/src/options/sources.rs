//! Everything a process was given: the table's defaults, its file, its environment, its command line.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::command::Flags;
use super::environment::Variables;
use super::file::{Chosen, exists};
use super::mistakes::printable;
use super::{Leaves, Origin, Program, command, yaml};

/// What a process is to do with its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Work.
    Run,
    /// Say whether there are mistakes.
    Check,
    /// Print the options in force.
    Print,
}

/// Where the options of a process come from. Can be read again and again; only the file may say something else then.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    program: &'static Program,
    flags: Flags,
    variables: Variables,
    /// The configuration file in force.
    file: Option<PathBuf>,
}

/// What the sources said.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    /// Values and mistakes of all layers.
    pub(crate) leaves: Leaves,
    /// The configuration file that was read, or could not be.
    pub(crate) file: Option<PathBuf>,
    /// What was read, in words.
    pub(crate) read: String,
    /// What is odd and does no harm.
    pub(crate) warnings: Vec<String>,
}

impl Sources {
    /// Those of this process.
    ///
    /// # Errors
    ///
    /// As [`Program::leaves`].
    pub(crate) fn of_process(program: &'static Program) -> Result<Self, clap::Error> {
        let flags = program.flags(env::args_os())?;
        Ok(Self::new(program, flags, env::vars_os().collect()))
    }

    /// Those of this process when its command line is wrong: what can be understood of it, and the rest.
    pub(crate) fn understood(program: &'static Program) -> Option<Self> {
        let flags = program.flags_understood(env::args_os())?;
        Some(Self::new(program, flags, env::vars_os().collect()))
    }

    /// Those of a process that has flags alone.
    #[cfg(test)]
    pub(crate) fn of_flags(program: &'static Program, args: &[&str]) -> Self {
        let flags = program.flags(args.iter().map(Into::into)).unwrap();
        Self::new(program, flags, Variables::default())
    }

    pub(super) fn new(program: &'static Program, flags: Flags, variables: Variables) -> Self {
        Self {
            program,
            flags,
            variables,
            file: None,
        }
    }

    /// What was read takes effect: from now on it is a mistake when its file is gone, and nothing else is read instead.
    pub(crate) fn take(&mut self, given: &Given) {
        self.file.clone_from(&given.file);
    }

    /// Whose sources they are.
    pub(crate) fn program(&self) -> &'static Program {
        self.program
    }

    /// What the process is to do.
    pub(crate) fn mode(&self) -> Mode {
        self.flags.mode
    }

    /// Reads all of them, the higher over the lower. Blocks on the file.
    pub(crate) fn read(&self) -> Given {
        let mut leaves = Leaves::of_defaults(self.program.options);
        let file = self.file();
        if let Some(file) = &file {
            leaves.lay(match file.text() {
                Ok(text) => yaml::layer(self.program.options, &file.path, &text),
                Err(mistake) => mistake.into(),
            });
        }
        let environment = self.program.of_environment(&self.variables);
        let flags = self.flags.layer.clone();
        let file = file.map(|file| file.path);
        let read = said(
            file.as_deref(),
            environment.values.len(),
            flags.values.len(),
        );
        leaves.lay(environment);
        leaves.lay(flags);
        Given {
            leaves,
            file,
            read,
            warnings: self.program.unknown_variables(&self.variables),
        }
    }

    /// The first of: the one that the command line names, the one that the environment names, the one that is found.
    fn file(&self) -> Option<Chosen> {
        let of_flag = self.flags.config.clone().map(|path| {
            let flag = format!("--{}", command::CONFIG);
            (path, Origin::Flag { flag })
        });
        match of_flag.or_else(|| self.program.file_of_environment(&self.variables)) {
            Some((path, origin)) => Some(Chosen {
                path,
                named_by: Some(origin),
            }),
            None => self.gone().or_else(|| self.program.find_file(self.home())),
        }
    }

    /// The file in force, when it is there no more.
    fn gone(&self) -> Option<Chosen> {
        let path = self.file.clone().filter(|path| !exists(path))?;
        let named_by = None;
        Some(Chosen { path, named_by })
    }

    fn home(&self) -> Option<&Path> {
        let home = self.variables.get(&OsString::from("HOME"))?;
        (!home.is_empty()).then_some(Path::new(home))
    }
}

fn said(file: Option<&Path>, variables: usize, flags: usize) -> String {
    let file = match file {
        Some(file) => printable(&file.to_string_lossy()),
        None => "no configuration file".to_owned(),
    };
    format!(
        "{file}, {}, {}",
        counted(variables, "variable"),
        counted(flags, "flag")
    )
}

fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}
