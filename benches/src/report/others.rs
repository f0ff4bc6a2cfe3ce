//! Tables of what is not run in turns on all paths.

use crate::results::{Measure, Results};
use crate::table::{maybe, table};
use crate::workloads::{beside, harm, idle, in_flight, line, mode, system_calls};

/// A heading, and what is below it.
type Columns = &'static [(&'static str, Measure)];

/// A table with a row for each path that a workload was run on.
#[derive(Debug)]
struct Table {
    workload: &'static str,
    title: String,
    columns: Columns,
}

const LINE: Columns = &[
    ("% of the line in the first 2 s", Measure::Cold),
    ("% after that", Measure::Line),
];
const MODE: Columns = &[
    ("calls/s", Measure::Rate),
    ("server, µs a call", Measure::ServerTime),
    ("edge, µs a call", Measure::EdgeTime),
    ("backend, µs a call", Measure::BackendTime),
];
const BESIDE: Columns = &[
    ("p50 ms alone", Measure::Alone),
    ("p50 ms beside", Measure::Beside),
    ("times", Measure::Times),
    ("bulk, % of the line", Measure::Line),
];
const HARM: Columns = &[
    ("innocent calls", Measure::Innocents),
    ("failed", Measure::Failed),
    ("failures of the other", Measure::OwnFailed),
];
const IDLE: Columns = &[
    ("s until all are there", Measure::Seconds),
    ("lost", Measure::Lost),
    ("KiB of the server for each", Measure::Memory),
    ("% of a processor", Measure::Idle),
];
const IN_FLIGHT: Columns = &[
    ("KiB of the server for each", Measure::Memory),
    ("KiB of the edge for each", Measure::EdgeMemory),
];
const SYSTEM_CALLS: Columns = &[("server", Measure::Rate), ("edge", Measure::EdgeRate)];

fn tables() -> Vec<Table> {
    let table = |workload, title: &str, columns| Table {
        workload,
        title: title.to_owned(),
        columns,
    };
    let over = "over a line of 50 ms and 100 MB/s, new each time";
    let mut tables = vec![
        table(line::DOWN, &format!("One call to its caller {over}"), LINE),
        table(line::UP, &format!("One call to the backend {over}"), LINE),
        table(
            mode::NARROW,
            "The same to a backend with windows of 64 KiB, by the edge's backend-mode",
            LINE,
        ),
        table(
            mode::SMALL,
            "Unary, 32 B, 8 calls in flight on each of 8 connections, by the edge's backend-mode",
            MODE,
        ),
        table(
            beside::BESIDE,
            "100 small calls a second over a line of 10 ms and 50 MB/s, alone and beside one bulk download",
            BESIDE,
        ),
        table(
            harm::SLOW,
            "200,000 messages of 4 B, whose reader pauses for 2.5 s, beside small calls",
            HARM,
        ),
    ];
    for (workload, _) in harm::CANCELS {
        let title = "10,000 calls given up, 150 open at a time, beside small calls";
        tables.push(table(workload, title, HARM));
    }
    for (workload, count) in idle::COUNTS {
        let title = format!("{count} edges that dial at once, and are not called then");
        tables.push(table(workload, &title, IDLE));
    }
    let open = "5,000 calls that are open, over which nothing goes";
    tables.push(table(in_flight::IN_FLIGHT, open, IN_FLIGHT));
    for (workload, connections, in_flight) in system_calls::LOADS {
        let title = format!(
            "System calls for each small call, {in_flight} in flight on each of {connections} connections"
        );
        tables.push(table(workload, &title, SYSTEM_CALLS));
    }
    tables
}

impl Table {
    /// Nothing where nothing was run.
    fn shown(&self, results: &Results) -> Option<String> {
        let paths = results.paths(self.workload);
        let headings = self.columns.iter().map(|(heading, _)| *heading);
        let headings: Vec<&str> = ["path"].into_iter().chain(headings).collect();
        let row = |path: &&str| {
            let values = self.columns.iter().map(|(_, measure)| *measure);
            let values = values.map(|measure| maybe(results.median(self.workload, path, measure)));
            [(*path).to_owned()].into_iter().chain(values).collect()
        };
        let rows: Vec<Vec<String>> = paths.iter().map(row).collect();
        let shown = || {
            let table = table(&headings, &rows);
            format!("### {}: {}\n\n{table}", self.workload, self.title)
        };
        (!paths.is_empty()).then(shown)
    }
}

/// All that have rows.
pub(crate) fn others(results: &Results) -> Vec<String> {
    let tables = tables();
    let shown = tables.iter().filter_map(|table| table.shown(results));
    shown.collect()
}
