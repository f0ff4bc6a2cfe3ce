//! What is run.

pub(crate) mod beside;
pub(crate) mod harm;
pub(crate) mod idle;
pub(crate) mod in_flight;
pub(crate) mod line;
pub(crate) mod loopback;
pub(crate) mod mode;
pub(crate) mod system_calls;

/// All that `--only` knows.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let cells = loopback::CELLS.iter().map(|cell| cell.name);
    let cancels = harm::CANCELS.iter().map(|(name, _)| *name);
    let others = [
        harm::SLOW,
        line::DOWN,
        line::UP,
        mode::NARROW,
        mode::SMALL,
        beside::BESIDE,
    ];
    let idle = idle::COUNTS.iter().map(|(name, _)| *name);
    let system_calls = system_calls::LOADS.iter().map(|(name, ..)| *name);
    let long = idle.chain([in_flight::IN_FLIGHT]).chain(system_calls);
    cells.chain(cancels).chain(others).chain(long)
}
