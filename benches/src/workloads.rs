//! What is run.

pub(crate) mod beside;
pub(crate) mod harm;
pub(crate) mod line;
pub(crate) mod loopback;

/// All that `--only` knows.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let cells = loopback::CELLS.iter().map(|cell| cell.name);
    let cancels = harm::CANCELS.iter().map(|(name, _)| *name);
    let others = [harm::SLOW, line::DOWN, line::UP, beside::BESIDE];
    cells.chain(cancels).chain(others)
}
