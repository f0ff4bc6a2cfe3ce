//! What is asked for.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use crate::cases::{self, Case};

/// The command line.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// Only cases that the short run has.
    short: bool,
    /// Only cases of these rows; all, when empty.
    only: Vec<String>,
    /// Where the result is written for machines.
    pub(crate) json: Option<PathBuf>,
    /// Where the binaries under test are; beside this one, unless said.
    pub(crate) programs: Option<PathBuf>,
    /// Minutes of a soak, in place of the cases.
    pub(crate) soak: Option<u64>,
    /// What its chance begins with.
    pub(crate) seed: Option<u64>,
    /// Callers dial backends themselves.
    pub(crate) direct: bool,
}

impl Options {
    pub(crate) fn read(args: &[&str]) -> anyhow::Result<Self> {
        let mut options = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
            match *arg {
                "--short" => options.short = true,
                "--only" => options.only = value()?.split(',').map(str::to_owned).collect(),
                "--json" => options.json = Some(value()?.into()),
                "--programs" => options.programs = Some(value()?.into()),
                "--soak" => options.soak = Some(number(arg, value()?)?),
                "--seed" => options.seed = Some(number(arg, value()?)?),
                "--baseline" => match *value()? {
                    "direct" => options.direct = true,
                    other => bail!("unknown baseline {other}: there is direct"),
                },
                _ => bail!(
                    "unknown option {arg}: there are --short, --only, --baseline, --soak, --seed, --json and --programs"
                ),
            }
        }
        if let Some(id) = options.only.iter().find(|id| {
            let cases = cases::all();
            !cases.iter().any(|case| case.id == *id)
        }) {
            bail!("there is no case {id}: --only takes rows such as F1,F7");
        }
        Ok(options)
    }

    /// Whether a case is to be run.
    pub(crate) fn wants(&self, case: &Case) -> bool {
        let named = self.only.is_empty() || self.only.iter().any(|id| id == case.id);
        named && (case.short || !self.short)
    }
}

fn number(option: &str, value: &str) -> anyhow::Result<u64> {
    value
        .parse()
        .with_context(|| format!("{option} takes a number, and {value:?} is none"))
}
