//! What is wanted of the numbers.

mod target;

use self::target::Target;
use crate::paths::{DIRECT, OURS, OURS_TLS};
use crate::results::{Measure, Results};
use crate::table::table;
use crate::workloads::{beside, harm, idle, in_flight, line};

/// Proxies that ours is compared with.
const NGINX: &str = "nginx";
const HAPROXY: &str = "haproxy";

/// The table, and whether anything is less than it must be.
pub(crate) fn judged(results: &Results) -> (String, bool) {
    let targets = all(results);
    let measured = targets.iter().filter(|target| target.measured.is_some());
    let rows: Vec<_> = measured.map(Target::row).collect();
    let missed = targets.iter().any(Target::is_missed);
    let heading = ["target", "must", "aim", "measured", ""];
    (format!("### Targets\n\n{}", table(&heading, &rows)), missed)
}

fn all(results: &Results) -> Vec<Target> {
    let rate = |workload, other| results.ratio(workload, OURS, other, Measure::Rate);
    let mut targets = vec![
        Target::at_least(
            "small unary 8x8, calls/s to direct",
            0.5,
            0.7,
            rate("unary-8x8", DIRECT),
        ),
        Target::at_most(
            "processor time of server and edge for a small call, to HAProxy's",
            1.4,
            1.0,
            results.ratio("unary-8x8", OURS, HAPROXY, Measure::Between),
        ),
        Target::at_most(
            "p50 of one call at a time, to direct",
            2.5,
            1.8,
            results.ratio("unary-1x1", OURS, DIRECT, Measure::P50),
        ),
        Target::at_most(
            "p50 at 1,000 calls/s, µs more than direct",
            150.0,
            150.0,
            results
                .difference("unary-at-1000", OURS, DIRECT, Measure::P50)
                .map(|ms| ms * 1e3),
        ),
        Target::at_most(
            "p99 at 1,000 calls/s, to nginx's",
            1.3,
            1.0,
            results.ratio("unary-at-1000", OURS, NGINX, Measure::P99),
        ),
    ];
    for (workload, what) in [
        ("down-64k", "64 KiB to the caller"),
        ("up-64k", "64 KiB to the backend"),
    ] {
        targets.extend([
            Target::at_least(
                format!("{what}, MB/s to direct"),
                0.4,
                0.4,
                rate(workload, DIRECT),
            ),
            Target::at_least(
                format!("{what}, MB/s to HAProxy's"),
                1.0,
                1.0,
                rate(workload, HAPROXY),
            ),
            Target::at_least(
                format!("{what}, MB/s to nginx's"),
                1.0,
                1.0,
                rate(workload, NGINX),
            )
            .aims(),
        ]);
    }
    for (workload, what) in [
        ("down-100", "100 B streamed"),
        ("down-100-go", "100 B streamed by grpc-go"),
    ] {
        targets.extend([
            Target::at_least(
                format!("{what}, messages/s to direct"),
                0.6,
                0.6,
                rate(workload, DIRECT),
            ),
            Target::at_least(
                format!("{what}, messages/s to nginx's"),
                1.0,
                1.0,
                rate(workload, NGINX),
            )
            .aims(),
        ]);
    }
    targets.push(Target::at_most(
        "processor time of a small call over TLS, to plain",
        1.35,
        1.2,
        results.ratio("unary-8x8", OURS_TLS, OURS, Measure::Between),
    ));
    targets.extend(of_lines(results));
    targets.extend(of_harm(results));
    targets.extend(of_many(results));
    targets
}

fn of_lines(results: &Results) -> Vec<Target> {
    let median = |workload, measure| results.median(workload, OURS, measure);
    let mut targets = Vec::new();
    for (workload, way) in [(line::DOWN, "to the caller"), (line::UP, "to the backend")] {
        let what = format!("% of a line of 50 ms and 100 MB/s {way}");
        targets.extend([
            Target::at_least(
                format!("{what}, after 2 s"),
                90.0,
                95.0,
                median(workload, Measure::Line),
            ),
            Target::at_least(
                format!("{what}, in the first 2 s"),
                80.0,
                80.0,
                median(workload, Measure::Cold),
            )
            .aims(),
        ]);
    }
    targets.extend([
        Target::at_most(
            "p50 beside a bulk, to alone",
            2.0,
            1.3,
            median(beside::BESIDE, Measure::Times),
        ),
        Target::at_least(
            "% of the line of that bulk",
            85.0,
            95.0,
            median(beside::BESIDE, Measure::Line),
        ),
    ]);
    targets
}

fn of_harm(results: &Results) -> Vec<Target> {
    let workloads = [harm::SLOW]
        .into_iter()
        .chain(harm::CANCELS.map(|(name, _)| name));
    let target = |workload| {
        let failed = results.median(workload, OURS, Measure::Failed);
        Target::at_most(
            format!("innocent calls that failed beside {workload}"),
            0.0,
            0.0,
            failed,
        )
    };
    workloads.map(target).map(Target::must_only).collect()
}

fn of_many(results: &Results) -> Vec<Target> {
    let most = idle::COUNTS[idle::COUNTS.len() - 1].0;
    let mut targets = Vec::new();
    for (path, memory, seconds) in [
        (OURS, (8.0, 4.0), (3.0, 1.0)),
        (OURS_TLS, (40.0, 20.0), (15.0, 5.0)),
    ] {
        let median = |measure| results.median(most, path, measure);
        targets.extend([
            Target::at_most(
                format!("KiB of the server for an idle edge, {path}"),
                memory.0,
                memory.1,
                median(Measure::Memory),
            ),
            Target::at_most(
                format!("s until 10,000 edges are there, {path}"),
                seconds.0,
                seconds.1,
                median(Measure::Seconds),
            ),
            Target::at_most(
                format!("of which are lost, {path}"),
                0.0,
                0.0,
                median(Measure::Lost),
            ),
        ]);
    }
    let call = results.median(in_flight::IN_FLIGHT, OURS, Measure::Memory);
    targets.push(Target::at_most(
        "KiB of the server for an open call",
        6.0,
        3.0,
        call,
    ));
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_not_missed() {
        let (table, missed) = judged(&Results::default());
        assert!(!missed);
        assert_eq!(table.lines().count(), 4);
    }
}
