//! `docs/errors.md` and the table say the same, line by line.

use std::collections::BTreeSet;

use super::table::{Reached, Reason, Retry};
use super::*;

const PAGE: &str = include_str!("../../../../docs/errors.md");

/// One of each failure, with every code and text that it can have.
pub(super) fn examples() -> Vec<Failure> {
    let id: ClientId = "rainbow".parse().unwrap();
    let mut all = vec![
        Failure::NotPost,
        Failure::NotGrpc,
        Failure::Metadata { sent: false },
        Failure::Metadata { sent: true },
        Failure::BadPath,
        Failure::BadTimeout,
        Failure::Unauthenticated,
        Failure::NoId,
        Failure::ManyIds,
        Failure::BadId,
        Failure::UnknownEdge(id.clone()),
        Failure::NotAllowed,
        Failure::HookRefused("not paid for".to_owned()),
        Failure::HookFailed,
        Failure::NotServed(id.clone()),
        Failure::EdgeAway(id.clone()),
        Failure::EdgeBusy(id.clone()),
        Failure::Unprocessed(id.clone()),
        Failure::Refused,
        Failure::BackendCalm { taken: false },
        Failure::BackendCalm { taken: true },
        Failure::BackendLost(id.clone()),
        Failure::TunnelLost(id.clone()),
        Failure::Deadline { sent: false },
        Failure::Deadline { sent: true },
        Failure::ResponseMetadata,
        Failure::NoStatus,
        Failure::Overload { sent: false },
        Failure::Overload { sent: true },
        Failure::Draining { sent: false },
        Failure::Draining { sent: true },
        Failure::Revoked,
        Failure::PolicyChanged,
        Failure::OwnService(Code::NotFound, "service not registered".to_owned()),
        Failure::UnsupportedField("filter"),
        Failure::BadPageToken,
        Failure::TooManyWatchers,
        Failure::SlowWatcher,
        Failure::SlowCaller,
        Failure::WrongListener(7592),
        Failure::TlsRequired,
        Failure::Internal,
    ];
    let dials = [
        DialFailure::Refused,
        DialFailure::Dns,
        DialFailure::Tls,
        DialFailure::Alpn,
        DialFailure::NotHttp2,
        DialFailure::Timeout,
    ];
    all.extend(dials.map(|failure| Failure::of_dial(failure, &id)));
    // Those that HTTP/2 knows, and one more.
    let resets = (0..=14).map(h2::Reason::from);
    all.extend(resets.map(Failure::BackendReset));
    // Those that gRPC knows, and one more.
    let statuses = [400, 401, 403, 404, 429, 431, 502, 503, 504, 500];
    let statuses = statuses.map(|status| StatusCode::from_u16(status).unwrap());
    all.extend(statuses.map(Failure::HttpStatus));
    all
}

/// The columns of the page that are not prose.
fn shown(failure: &Failure) -> String {
    let row = failure.row();
    let status = match failure.http_status() {
        Some(status) => format!("HTTP {}", status.as_u16()),
        None => format!("{} {}", row.code as u8, row.code.name()),
    };
    let reached = match row.reached {
        Reached::No => "no",
        Reached::Maybe => "maybe",
        Reached::Yes => "yes",
    };
    let pushback = match row.retry {
        Retry::AsItLikes => String::new(),
        Retry::After(wait) => format!("{} ", wait.as_millis()),
        Retry::Never => "-1 ".to_owned(),
    };
    let (reason, message) = (row.reason.as_str(), row.message);
    format!("| `{reason}` | {status} | `{message}` | {reached} | {pushback}|")
}

/// A line of the page that shows a failure, as its first five columns and the rest.
fn columns(line: &str) -> Option<(&str, &str)> {
    let (end, _) = line
        .starts_with("| `")
        .then(|| line.match_indices('|').nth(5))??;
    Some(line.split_at(end + 1))
}

#[test]
fn the_page_shows_every_failure_as_it_is_and_no_other() {
    let shown: BTreeSet<_> = examples().iter().map(shown).collect();
    let on_page: Vec<_> = PAGE.lines().filter_map(columns).collect();
    let set: BTreeSet<_> = on_page.iter().map(|(row, _)| (*row).to_owned()).collect();
    let missing: Vec<_> = shown.difference(&set).collect();
    let wrong: Vec<_> = set.difference(&shown).collect();
    assert!(
        missing.is_empty() && wrong.is_empty(),
        "docs/errors.md lacks these lines (add them, with when and what to do):\n{missing:#?}\nand has these, which no \
         failure of ours is (correct or remove them):\n{wrong:#?}"
    );
    assert_eq!(
        on_page.len(),
        set.len(),
        "a line is on docs/errors.md twice"
    );
}

#[test]
fn the_page_says_when_each_failure_happens() {
    for (row, prose) in PAGE.lines().filter_map(columns) {
        let generic = row.contains("`backend-reset`") || row.contains("`http-status`");
        let said = prose.trim_matches([' ', '|']);
        assert_eq!(said.is_empty(), generic, "when does this happen? {row}");
    }
}

#[test]
fn every_reason_has_an_example() {
    let reasons: Vec<_> = examples().iter().map(Failure::reason).collect();
    for name in Reason::ALL.iter().map(|reason| reason.as_str()) {
        assert!(
            reasons.contains(&name),
            "add a failure of reason {name} to examples()"
        );
    }
}
