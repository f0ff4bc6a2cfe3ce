//! The cases: what happens, and what must hold.

mod callers;
mod links;
mod machine;
mod processes;
mod suites;

use std::pin::Pin;

use crate::score::Score;

/// One fault.
pub(crate) struct Case {
    /// Its row. Several cases share one.
    pub(crate) id: &'static str,
    pub(crate) what: &'static str,
    pub(crate) how: How,
    /// Whether the short run has it, too.
    pub(crate) short: bool,
}

/// A case in a world, to its end.
pub(crate) type Played = Pin<Box<dyn Future<Output = anyhow::Result<Score>>>>;

/// How it is made to happen.
#[derive(Clone, Copy)]
pub(crate) enum How {
    /// To a world of its own.
    World(fn() -> Played),
    /// By a test of a suite of `cargo test`.
    Test(&'static str, &'static str),
    /// By another command of this project, from its top folder, with arguments.
    Command(&'static [&'static str]),
}

impl Case {
    const fn new(id: &'static str, what: &'static str, how: How) -> Self {
        Self {
            id,
            what,
            how,
            short: false,
        }
    }

    const fn short(self) -> Self {
        Self {
            short: true,
            ..self
        }
    }
}

/// All of them, row by row.
pub(crate) fn all() -> Vec<Case> {
    let mut all: Vec<Case> = [
        processes::cases(),
        links::cases(),
        machine::cases(),
        callers::cases(),
        suites::cases(),
    ]
    .into_iter()
    .flatten()
    .collect();
    all.sort_by_key(|case| case.id[1..].parse::<u32>().unwrap_or(u32::MAX));
    all
}
