//! What fuzz targets reach of this crate beyond its interface. Built with `--cfg fuzzing`, as cargo-fuzz does, and with
//! this crate's tests, so that what no longer compiles is seen at once.

use std::ffi::OsString;
use std::path::Path;

use super::{Leaves, Program, print, yaml};

/// What `program` is given by a file of that text, an environment and a command line, whose first word is the program.
///
/// # Errors
///
/// When the command line is none of the program's.
pub fn leaves(
    program: &'static Program,
    text: &str,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    args: impl IntoIterator<Item = OsString>,
) -> Result<Leaves, clap::Error> {
    let mut leaves = Leaves::of_defaults(program.options);
    leaves.lay(yaml::layer(program.options, Path::new("fuzz.yaml"), text));
    leaves.lay(program.of_environment(&variables.into_iter().collect()));
    leaves.lay(program.flags(args)?.layer);
    Ok(leaves)
}

/// The options in force, as a file that gives the same ones.
#[must_use]
pub fn printed(program: &Program, leaves: &Leaves) -> String {
    print(program, leaves)
}
