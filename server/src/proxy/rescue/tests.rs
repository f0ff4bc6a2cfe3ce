//! The table, row by row.

use super::answer::encode_message;
use super::codes::{code_of_http, code_of_reset};
use super::table::{Reached, Retry};
use super::*;

#[test]
fn resets_become_the_codes_of_the_specification() {
    let codes: Vec<_> = (0..=14)
        .map(|reason| code_of_reset(h2::Reason::from(reason)) as u8)
        .collect();
    assert_eq!(
        codes,
        [13, 13, 13, 13, 13, 2, 13, 14, 1, 13, 13, 8, 7, 2, 2]
    );
}

#[test]
fn http_statuses_become_the_codes_of_the_specification() {
    let code = |status| code_of_http(StatusCode::from_u16(status).unwrap()) as u8;
    let statuses = [400, 401, 403, 404, 429, 431, 500, 502, 503, 504, 302];
    assert_eq!(
        statuses.map(code),
        [13, 16, 7, 12, 14, 13, 2, 14, 14, 14, 2]
    );
}

#[test]
fn what_is_retried_reached_nobody() {
    let id: ClientId = "a".parse().unwrap();
    for failure in [
        Failure::Unprocessed(id.clone()),
        Failure::Refused,
        Failure::BackendCalm { taken: false },
        Failure::BackendConnect(id.clone(), "refused"),
        Failure::BackendTimeout(id.clone()),
    ] {
        assert!(failure.is_retriable());
        assert_eq!(failure.row().reached, Reached::No, "{failure:?}");
    }
    for failure in [
        Failure::BackendCalm { taken: true },
        Failure::BackendLost(id.clone()),
        Failure::TunnelLost(id),
    ] {
        assert!(!failure.is_retriable(), "{failure:?}");
    }
}

#[test]
fn what_answered_is_not_said_to_be_unreached() {
    let id: ClientId = "a".parse().unwrap();
    for failure in [
        Failure::Unprocessed(id.clone()),
        Failure::Refused,
        Failure::BackendCalm { taken: false },
    ] {
        let failure = failure.after_headers(&id);
        assert!(!failure.is_retriable());
        assert_eq!(failure.code(), Code::Unavailable, "{failure:?}");
        assert_eq!(failure.row().reached, Reached::Maybe, "{failure:?}");
    }
}

#[test]
fn messages_are_printable_ascii_on_the_wire() {
    assert_eq!(encode_message("50% \n é"), "50%25 %0A %C3%A9");
}

#[test]
fn who_is_asked_to_come_again_did_not_reach_the_backend() {
    for failure in super::page::examples() {
        let row = failure.row();
        if matches!(row.retry, Retry::After(_)) {
            assert_eq!(row.reached, Reached::No, "{failure:?}");
        }
    }
}

#[test]
fn pushback_and_retry_info_say_the_same() {
    let id: ClientId = "a".parse().unwrap();
    for (failure, pushback, details) in [
        (Failure::EdgeBusy(id), Some("1000"), 2),
        (Failure::Metadata { sent: false }, Some("-1"), 1),
        (Failure::NoId, None, 1),
    ] {
        let trailers = failure.trailers();
        let found = trailers.get("grpc-retry-pushback-ms");
        assert_eq!(found.map(|value| value.to_str().unwrap()), pushback);
        assert_eq!(failure.row().details().details.len(), details);
    }
}
