//! `docs/errors.md` as rows, to which every status of ours is held.

const PAGE: &str = include_str!("../../docs/errors.md");

/// One line of a table there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorsRow {
    /// `x-mux-error`.
    pub reason: &'static str,
    /// The gRPC status, or `HTTP` and a number.
    pub status: &'static str,
    /// `backend_reached`.
    pub reached: &'static str,
    /// `grpc-retry-pushback-ms`, where there is one.
    pub pushback: Option<&'static str>,
}

/// All of them.
#[must_use]
pub fn errors_page() -> Vec<ErrorsRow> {
    let rows = PAGE.lines().filter(|line| line.starts_with("| `"));
    rows.filter_map(row).collect()
}

fn row(line: &'static str) -> Option<ErrorsRow> {
    let mut cells = line.split('|').skip(1).map(str::trim);
    let reason = cells.next()?.trim_matches('`');
    let (status, _message) = (cells.next()?, cells.next()?);
    let (reached, pushback) = (cells.next()?, cells.next()?);
    Some(ErrorsRow {
        reason,
        status,
        reached,
        pushback: Some(pushback).filter(|text| !text.is_empty()),
    })
}
