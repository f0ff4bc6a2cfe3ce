//! What a request must be before it is routed: the checks that need no edge, in the order in which they answer.

use std::time::Duration;

use grpc_multiplexer_tunnel::ClientId;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, Method};
use tokio::time::Instant;

use super::metadata::{CLIENT_ID, GRPC_TIMEOUT};
use super::rescue::Failure;
use super::timeout;
use crate::limits::MetadataLimits;

/// A gRPC request, as far as that can be told without an edge: POST, gRPC, metadata within the limit, a canonical
/// path. Returns its deadline.
pub(crate) fn request(head: &Parts, metadata: MetadataLimits) -> Result<Option<Instant>, Failure> {
    if head.method != Method::POST {
        return Err(Failure::NotPost);
    }
    if !is_grpc(&head.headers) {
        return Err(Failure::NotGrpc);
    }
    if metadata.are_passed_by(&head.headers) {
        return Err(Failure::Metadata { sent: false });
    }
    let path = head.uri.path_and_query().map(|path| path.as_str());
    if !path.is_some_and(is_canonical) {
        return Err(Failure::BadPath);
    }
    let timeout = one_timeout(&head.headers)?;
    // A deadline beyond what the clock can hold is none.
    Ok(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
}

/// `application/grpc`, alone or with a subtype or parameter: `application/grpc-web` is another protocol.
fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.as_bytes().strip_prefix(b"application/grpc"))
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// `/service/method`: two segments, neither empty nor a dot segment. What a backend could read as another path would
/// pass by whoever decides by path.
fn is_canonical(path: &str) -> bool {
    let segment = |s: &str| !s.is_empty() && s != "." && s != ".." && !s.contains(['?', '#']);
    path.strip_prefix('/')
        .and_then(|rest| rest.split_once('/'))
        .is_some_and(|(service, method)| {
            segment(service) && segment(method) && !method.contains('/')
        })
}

fn one_timeout(headers: &HeaderMap) -> Result<Option<Duration>, Failure> {
    let mut values = headers.get_all(GRPC_TIMEOUT).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => timeout::parse(value)
            .map(Some)
            .map_err(|_| Failure::BadTimeout),
        (Some(_), Some(_)) => Err(Failure::BadTimeout),
    }
}

/// The one valid `client-id`.
pub(crate) fn client_id(headers: &HeaderMap) -> Result<ClientId, Failure> {
    let mut values = headers.get_all(CLIENT_ID).iter();
    match (values.next(), values.next()) {
        (None, _) => Err(Failure::NoId),
        (Some(value), None) => ClientId::from_bytes(value.as_bytes()).map_err(|_| Failure::BadId),
        (Some(_), Some(_)) => Err(Failure::ManyIds),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_that_are_not_service_and_method_are_refused() {
        for path in [
            "/", "//m", "/s", "/s/", "/s//m", "/a/../m", "/../m", "/./m", "/s/..", "/s/m/x",
            "/s/m?q", "*", "/s/m#f", "s/m",
        ] {
            assert!(!is_canonical(path), "{path}");
        }
        assert!(is_canonical("/package.Service/Method"));
    }

    #[test]
    fn only_grpc_is_grpc() {
        let says = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
            is_grpc(&headers)
        };
        for value in [
            "application/grpc",
            "application/grpc+proto",
            "application/grpc;x",
        ] {
            assert!(says(value), "{value}");
        }
        for value in [
            "application/grpc-web",
            "application/grpcx",
            "application/json",
            "",
        ] {
            assert!(!says(value), "{value}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }

    #[test]
    fn checks_answer_in_their_order() {
        let wrong = |change: &dyn Fn(&mut Request<()>)| {
            let mut bad = Request::get("http://h/bad").body(()).unwrap();
            bad.headers_mut()
                .insert(GRPC_TIMEOUT, HeaderValue::from_static("x"));
            change(&mut bad);
            request(&bad.into_parts().0, MetadataLimits::default())
        };
        assert_eq!(wrong(&|_| {}), Err(Failure::NotPost));
        let post = |r: &mut Request<()>| *r.method_mut() = Method::POST;
        assert_eq!(wrong(&post), Err(Failure::NotGrpc));
        let grpc = |r: &mut Request<()>| {
            post(r);
            r.headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        };
        assert_eq!(wrong(&grpc), Err(Failure::BadPath));
        let path = |r: &mut Request<()>| {
            grpc(r);
            *r.uri_mut() = "http://h/s/m".parse().unwrap();
        };
        assert_eq!(wrong(&path), Err(Failure::BadTimeout));
    }

    proptest! {
        #[test]
        fn no_path_makes_it_panic(path in ".{0,40}") {
            is_canonical(&path);
        }
    }
}
