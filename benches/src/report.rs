//! What is printed.

mod others;

use crate::paths::{DIRECT, Path};
use crate::results::{Measure, Results};
use crate::table::{maybe, table};
use crate::workloads::loopback::Cell;

pub(crate) use others::others;

/// The table of a workload on one machine.
pub(crate) fn loopback(cell: &Cell, paths: &[Path], results: &Results) -> String {
    let (unit, each) = (cell.unit(), cell.each());
    let cost = format!("µs/{each} between");
    let of = |who: &str| format!("{who} µs/{each}");
    let (server, edge, backend, load) = (of("server"), of("edge"), of("backend"), of("load"));
    let mut heading = vec!["path", unit, "x direct"];
    if !cell.is_stream() {
        heading.extend(["p50 ms", "p99 ms", "p50 x direct", "p99 x direct"]);
    }
    heading.extend([&cost, &server, &edge, &backend, &load].map(String::as_str));
    let rows = paths.iter().map(|path| {
        let name = path.name.as_str();
        let value = |measure| maybe(results.median(cell.name, name, measure));
        let ratio = |measure| maybe(results.ratio(cell.name, name, DIRECT, measure));
        let mut row = vec![name.to_owned(), value(Measure::Rate), ratio(Measure::Rate)];
        if !cell.is_stream() {
            row.extend([value(Measure::P50), value(Measure::P99)]);
            row.extend([ratio(Measure::P50), ratio(Measure::P99)]);
        }
        row.extend(
            [
                Measure::Between,
                Measure::ServerTime,
                Measure::EdgeTime,
                Measure::BackendTime,
                Measure::LoadTime,
            ]
            .map(value),
        );
        row
    });
    let rows: Vec<_> = rows.collect();
    format!(
        "### {}: {}\n\n{}",
        cell.name,
        cell.title,
        table(&heading, &rows)
    )
}
