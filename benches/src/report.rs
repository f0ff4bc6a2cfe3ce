//! What is printed.

use crate::paths::{DIRECT, Path};
use crate::results::{Measure, Results};
use crate::table::{maybe, table};
use crate::workloads::loopback::Cell;
use crate::workloads::{beside, harm, line};

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
    let heading: Vec<&str> = heading.into_iter().collect();
    format!(
        "### {}: {}\n\n{}",
        cell.name,
        cell.title,
        table(&heading, &rows)
    )
}

/// A table with a row for each path that a workload was run on.
pub(crate) fn simple(
    workload: &str,
    title: &str,
    columns: &[(&str, Measure)],
    results: &Results,
) -> Option<String> {
    let paths = results.paths(workload);
    let heading = columns.iter().map(|(heading, _)| *heading);
    let heading: Vec<&str> = ["path"].into_iter().chain(heading).collect();
    let row = |path: &&str| {
        let value =
            |(_, measure): &(&str, Measure)| maybe(results.median(workload, path, *measure));
        let values = columns.iter().map(value);
        [(*path).to_owned()].into_iter().chain(values).collect()
    };
    let rows: Vec<Vec<String>> = paths.iter().map(row).collect();
    let table = table(&heading, &rows);
    (!paths.is_empty()).then(|| format!("### {workload}: {title}\n\n{table}"))
}

/// The tables of what is not run on one machine without delay.
pub(crate) fn others(results: &Results) -> Vec<String> {
    let line = [
        ("% of the line in the first 2 s", Measure::Cold),
        ("% after that", Measure::Line),
    ];
    let beside = [
        ("p50 ms alone", Measure::Alone),
        ("p50 ms beside", Measure::Beside),
        ("times", Measure::Times),
        ("bulk, % of the line", Measure::Line),
    ];
    let harm = [
        ("innocent calls", Measure::Innocents),
        ("failed", Measure::Failed),
        ("failures of the other", Measure::OwnFailed),
    ];
    let cancels = "10,000 calls given up, 150 open at a time, beside small calls";
    let tables: &[(&str, &str, &[(&str, Measure)])] = &[
        (
            line::DOWN,
            "One call to its caller over a line of 50 ms and 100 MB/s, new each time",
            &line,
        ),
        (
            line::UP,
            "One call to the backend over a line of 50 ms and 100 MB/s, new each time",
            &line,
        ),
        (
            beside::BESIDE,
            "100 small calls a second over a line of 10 ms and 50 MB/s, alone and beside one bulk download",
            &beside,
        ),
        (
            harm::SLOW,
            "200,000 messages of 4 B, whose reader pauses for 2.5 s, beside small calls",
            &harm,
        ),
        (harm::CANCELS[0].0, cancels, &harm),
        (harm::CANCELS[1].0, cancels, &harm),
        (harm::CANCELS[2].0, cancels, &harm),
    ];
    let table = |(name, title, columns): &(&str, &str, &[_])| simple(name, title, columns, results);
    tables.iter().filter_map(table).collect()
}
