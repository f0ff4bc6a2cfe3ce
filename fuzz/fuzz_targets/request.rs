//! What a request must be before it is routed: method, content type, size, path, timeout.

#![no_main]

use arbitrary::Arbitrary;
use grpc_multiplexer_server::fuzzing::check_request;
use http::header::CONTENT_TYPE;
use http::{Request, request::Parts};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    method: Option<&'a str>,
    path: &'a str,
    absolute: bool,
    content_types: Vec<&'a [u8]>,
    timeouts: Vec<&'a [u8]>,
    further: Vec<(&'a [u8], &'a [u8])>,
}

fuzz_target!(|input: Input| {
    let Ok((head, ())) = request(&input).map(Request::into_parts) else {
        return;
    };
    if check_request(&head).is_ok() {
        is_what_was_promised(&head);
    }
});

fn request(input: &Input<'_>) -> http::Result<Request<()>> {
    let origin = if input.absolute { "http://h" } else { "" };
    let mut request = Request::builder()
        .method(input.method.unwrap_or("POST"))
        .uri(format!("{origin}{}", input.path));
    for value in &input.content_types {
        let value = [b"application/grpc", *value].concat();
        request = request.header(CONTENT_TYPE, value);
    }
    for value in &input.timeouts {
        request = request.header("grpc-timeout", *value);
    }
    for (name, value) in &input.further {
        request = request.header(*name, *value);
    }
    request.body(())
}

/// A backend, and whoever decides by path on the way, can read it in one way only.
fn is_what_was_promised(head: &Parts) {
    assert_eq!(head.method, "POST");
    let content_type = head.headers[CONTENT_TYPE].as_bytes();
    let subtype = content_type.strip_prefix(b"application/grpc").unwrap();
    assert!(matches!(subtype, [] | [b'+' | b';', ..]), "{subtype:?}");
    assert_eq!(head.uri.query(), None);
    let segments: Vec<_> = head.uri.path().split('/').collect();
    let [_, service, method] = segments[..] else {
        panic!("{segments:?}");
    };
    for segment in [service, method] {
        assert!(!["", ".", ".."].contains(&segment), "{segments:?}");
    }
    assert!(head.headers.get_all("grpc-timeout").iter().count() <= 1);
    assert!(head.headers.len() <= 100);
}
