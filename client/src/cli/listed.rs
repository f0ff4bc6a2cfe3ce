//! A connected edge, as people and scripts see it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use grpc_multiplexer_proto::v1::Edge;
use humantime::format_rfc3339_seconds;
use serde_json::{Value, json};

use super::output::harmless;
use super::place::Place;

/// The heads of [`row`]'s columns.
pub(super) const HEADS: [&str; 7] = [
    "CLIENT ID",
    "CONNECTED",
    "ADDRESS",
    "RTT",
    "CALLS",
    "SOFTWARE",
    "LABELS",
];

/// What stands where nothing is known.
const UNKNOWN: &str = "-";

/// In the place of all edges, where there is none. Those that the policy hides are not there for whoever asks.
pub(super) fn nothing(proxy: &Place) -> String {
    format!("no edge is connected to the server at {proxy} that this caller may see")
}

/// One row of a table.
pub(super) fn row(edge: &Edge, now: SystemTime) -> [String; 7] {
    [
        harmless(&edge.client_id),
        since(edge).map_or_else(unknown, |since| {
            // Another clock may be ahead of ours.
            age(now.duration_since(since).unwrap_or_default())
        }),
        text(&edge.remote_address),
        rtt(edge).map_or_else(unknown, milliseconds),
        since(edge).map_or_else(unknown, |_| edge.calls_in_flight.to_string()),
        text(&edge.version),
        text(&labels(edge)),
    ]
}

/// One object: what is not known is null.
pub(super) fn object(edge: &Edge) -> Value {
    let known = since(edge);
    json!({
        "client_id": edge.client_id,
        "connected_since": known.map(|since| format_rfc3339_seconds(since).to_string()),
        "remote_address": known.map(|_| &edge.remote_address),
        "heartbeat_rtt_seconds": rtt(edge).map(|rtt| rtt.as_secs_f64()),
        "calls_in_flight": known.map(|_| edge.calls_in_flight),
        "generation": known.map(|_| edge.generation),
        "version": known.map(|_| &edge.version),
        "labels": known.map(|_| edge.labels.iter().collect::<BTreeMap<_, _>>()),
        "context": known.map(|_| &edge.context),
    })
}

/// What is known, as part of a sentence.
pub(super) fn phrase(edge: &Edge) -> String {
    let mut parts = Vec::new();
    if !edge.remote_address.is_empty() {
        parts.push(format!("from {}", harmless(&edge.remote_address)));
    }
    if !edge.version.is_empty() {
        parts.push(harmless(&edge.version));
    }
    if !edge.labels.is_empty() {
        parts.push(harmless(&labels(edge)));
    }
    parts.join(", ")
}

/// As `team=red,zone=north`.
fn labels(edge: &Edge) -> String {
    let sorted: BTreeMap<_, _> = edge.labels.iter().collect();
    let labels = sorted.iter().map(|(key, value)| format!("{key}={value}"));
    labels.collect::<Vec<_>>().join(",")
}

/// As `1.2 ms`.
pub(super) fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

fn unknown() -> String {
    UNKNOWN.to_owned()
}

fn text(text: &str) -> String {
    if text.is_empty() {
        unknown()
    } else {
        harmless(text)
    }
}

/// `None` also where it lies beyond what this machine can tell.
fn since(edge: &Edge) -> Option<SystemTime> {
    let since = SystemTime::try_from(edge.connected_since?).ok()?;
    // The year 10000 has no RFC 3339 text.
    let last = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    (SystemTime::UNIX_EPOCH..=last)
        .contains(&since)
        .then_some(since)
}

fn rtt(edge: &Edge) -> Option<Duration> {
    edge.heartbeat_rtt?.try_into().ok()
}

/// The two largest units, as `3m 20s`.
fn age(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_two_units() {
        let said = |seconds| age(Duration::from_secs(seconds));
        assert_eq!(said(0), "0s");
        assert_eq!(said(59), "59s");
        assert_eq!(said(200), "3m 20s");
        assert_eq!(said(3 * 3600 + 61), "3h 1m");
        assert_eq!(said(86400 * 400 + 7200), "400d 2h");
    }

    #[test]
    fn what_is_not_known_is_said_to_be() {
        let edge = Edge {
            client_id: "old".to_owned(),
            ..Edge::default()
        };
        assert_eq!(
            row(&edge, SystemTime::now()),
            ["old", "-", "-", "-", "-", "-", "-"]
        );
        assert_eq!(object(&edge)["calls_in_flight"], Value::Null);
    }

    #[test]
    fn times_beyond_the_calendar_are_not_known() {
        for seconds in [i64::MIN, -1, 253_402_300_800, i64::MAX] {
            let edge = Edge {
                connected_since: Some(prost_types::Timestamp { seconds, nanos: 0 }),
                ..Edge::default()
            };
            assert_eq!(object(&edge)["connected_since"], Value::Null, "{seconds}");
        }
    }
}
